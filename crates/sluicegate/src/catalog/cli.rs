//! The command line of catalogs.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// What can be done with catalogs.
#[derive(Debug, Subcommand)]
pub(crate) enum CatalogCommand {
    /// Copy definitions, policies, certificates and clients from one catalog to another
    #[command(after_help = COPY_HELP)]
    Copy {
        /// Where they are
        from: String,
        /// Where they shall be
        to: String,
        /// Overwrite what is different there
        #[arg(long)]
        replace: bool,
        /// Remove what is there and not in FROM
        #[arg(long, requires = "replace")]
        prune: bool,
        /// Say what would be done, and do nothing
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        places: Places,
    },
    /// List what is in a catalog; fails when anything in it is at fault
    #[command(after_help = LIST_HELP)]
    List {
        /// Where it is
        place: String,
        #[command(flatten)]
        places: Places,
    },
}

/// What the places mean.
#[derive(Debug, Args)]
pub(crate) struct Places {
    /// The table or collection of a catalog in a database
    #[arg(long, value_name = "NAME", default_value = "sluicegate_catalog")]
    pub(crate) name: String,
    /// The same for TO, where it is another one
    #[arg(long, value_name = "NAME")]
    pub(crate) to_name: Option<String>,
    /// Configuration file of the gate that the place `gate` means
    #[arg(long, value_name = "FILE")]
    pub(crate) conf: Option<PathBuf>,
}

const COPY_HELP: &str = "\
A place is one of:
  FOLDER                                  with apps, policies, certificates and clients in it, or with definitions
  sqlite:FILE
  postgresql://USER:PASSWORD@HOST/DATABASE
  mongodb://USER:PASSWORD@HOST/DATABASE
  env://NAME                              the place that this variable holds, so that no password is on the command line
  gate                                    where the gate of --conf has its definitions and policies

Nothing is copied when anything in FROM is at fault, or when TO has something different under the same id and --replace is
not given. What was copied is read again and compared. Times, and the numbers of changes, are not copied.

Examples:
  sluicegate catalog copy --conf tyk.conf gate env://CATALOG_URL
  sluicegate catalog copy --dry-run --replace ./catalog sqlite:/var/lib/sluicegate/catalog.db
  sluicegate catalog copy env://CATALOG_URL ./backup

Exit codes: 0 copied and found to be the same, 1 refused or failed, 2 wrong usage.";

const LIST_HELP: &str = "\
One line each: kind, id, and for a definition its name and listen path.

Examples:
  sluicegate catalog list env://CATALOG_URL
  sluicegate catalog list ./catalog

Exit codes: 0 all of it can be read, 1 something cannot, 2 wrong usage.";
