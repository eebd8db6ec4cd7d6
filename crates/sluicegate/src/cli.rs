//! The command line: what can be asked, and what the help teaches.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::catalog::CatalogCommand;
use crate::plugin::Plugin;
use crate::stream::Stream;

/// One gate for every API: requests and streams of events, guarded by the same chain.
#[derive(Debug, Parser)]
#[command(name = "sluicegate", version, about, after_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What can be asked.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the gate
    #[command(after_help = RUN_HELP)]
    Run {
        /// Configuration file: a tyk.conf (JSON), or the same settings as YAML
        #[arg(long, value_name = "FILE")]
        conf: Option<PathBuf>,
    },
    /// Check definitions, stream configurations, policies and configuration files
    #[command(after_help = LINT_HELP)]
    Lint {
        /// Files, or folders whose *.json, *.yaml and *.yml files are meant
        #[arg(required = true, value_name = "FILES")]
        files: Vec<PathBuf>,
        /// Judge by the settings of this configuration file, and of the environment, as `run` with it would
        #[arg(long, value_name = "FILE")]
        conf: Option<PathBuf>,
        /// How to tell what was found
        #[arg(long, value_enum, default_value_t = Form::Human)]
        format: Form,
    },
    /// Turn classic definitions into OpenAPI definitions, and back
    #[command(after_help = CONVERT_HELP)]
    Convert {
        /// Definitions (JSON)
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// The format to write; without it each file becomes what it is not
        #[arg(long, value_enum)]
        to: Option<Target>,
        /// Folder for what is written, under the names of the files; without it: standard output
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// Run a mapping over the documents of standard input, one a line; `blobl play` tries mappings out
    #[command(after_help = BLOBL_HELP)]
    Blobl(Blobl),
    /// Run, check, test, create and list streams that stand alone
    #[command(subcommand)]
    Stream(Stream),
    /// Copy catalogs (definitions, policies, certificates, clients) between folders and databases, and list them
    #[command(subcommand)]
    Catalog(CatalogCommand),
    /// Begin plugins in JavaScript, try them out, and pack bundles
    #[command(subcommand)]
    Plugin(Plugin),
    /// Print the version
    Version {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

/// What `blobl` is asked.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Blobl {
    #[command(subcommand)]
    pub(crate) command: Option<BloblCommand>,
    /// The mapping
    #[arg(required_unless_present = "file")]
    pub(crate) mapping: Option<String>,
    /// The file in which the mapping is
    #[arg(short, long, value_name = "FILE", conflicts_with = "mapping")]
    pub(crate) file: Option<PathBuf>,
    /// Take lines as text instead of JSON: `this` is the line
    #[arg(short, long)]
    pub(crate) raw: bool,
    /// Write JSON over several lines
    #[arg(short, long)]
    pub(crate) pretty: bool,
    /// How many lines are mapped at the same time; results keep the order of the lines
    #[arg(short, long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) threads: u8,
    /// The longest line in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 16 << 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_token_length: u32,
}

/// What else `blobl` can do.
#[derive(Debug, Subcommand)]
pub(crate) enum BloblCommand {
    /// Try mappings out: edit mapping and document, and see the result at once
    #[command(visible_alias = "server")]
    Play {
        /// A mapping to begin with
        #[arg(short, long, value_name = "FILE")]
        mapping_file: Option<PathBuf>,
        /// A document to begin with
        #[arg(short, long, value_name = "FILE")]
        input_file: Option<PathBuf>,
    },
}

/// How `lint` tells what it found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// With the line of each fault underlined
    Human,
    /// One JSON object
    Json,
}

/// What `convert` writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Target {
    /// OpenAPI with x-tyk-api-gateway
    Oas,
    /// Tyk classic
    Classic,
}

const CONVERT_HELP: &str = "\
What is written is read again and must be the same API. Where it would not be, nothing is written for that file, and
what differs is told. What has no counterpart and no effect is left out with a warning that names its place.
Files that exist already in DIR are never replaced.

Examples:
  sluicegate convert orders.json > orders-oas.json
  sluicegate convert apis/*.json --to oas --out converted

Exit codes: 0 all converted (there may be warnings), 1 some were not, 2 wrong usage or a file that cannot be read.";

const EXAMPLES: &str = "\
Examples:
  sluicegate run                                  settings from ./sluicegate.yaml or ./tyk.conf, else the defaults
  sluicegate run --conf /etc/tyk/tyk.conf         an existing configuration, as it is
  TYK_GW_LISTENPORT=9000 sluicegate run           one setting from the environment
  sluicegate lint apis/ sluicegate.yaml           check before you deploy
  sluicegate blobl 'root.id = this.id' < in.jsonl map documents, one a line; `sluicegate blobl play` to try mappings

Exit codes: 0 done or stopped as asked, 1 failed or faults found, 2 wrong usage or an unreadable file.

`sluicegate help COMMAND` tells more about a command.";

const RUN_HELP: &str = "\
The file is the one of --conf, else that of the variable SLUICEGATE_CONF, else the first of ./sluicegate.yaml,
./tyk.conf, /etc/sluicegate/sluicegate.yaml, /etc/tyk/tyk.conf, else none: then the built-in defaults are used.
Variables such as TYK_GW_LISTENPORT=9000 or TYK_GW_STORAGE_HOST=redis win over the file.

Without `secret` in the configuration the admin API is off. To have it for a try:
  TYK_GW_SECRET=try-me sluicegate run
  curl -H 'x-tyk-authorization: try-me' http://localhost:8080/tyk/apis

Exit codes: 0 stopped as asked, 1 could not start or could not go on, 2 wrong usage.";

const LINT_HELP: &str = "\
What a file is, is told by its content: an OAS definition (with the streams inside), a classic definition, a policy
or a map of policies, a key, a stand-alone stream configuration, a configuration file. JSON and YAML.

Whether a gate takes a definition depends on its settings, too: which unsafe components are allowed, what mappings
may read, which variables and secrets there are. With --conf the verdict is that of `sluicegate run --conf` with the
same file; without it that of a gate with the default settings, where any secret may be named.

Examples:
  sluicegate lint apis/*.json
  sluicegate lint --conf /etc/tyk/tyk.conf apis/
  sluicegate lint --format json stream.yaml | jq '.files[].faults[].message'

Exit codes: 0 no fault (there may be warnings), 1 faults found, 2 wrong usage or a file that cannot be read.";

const BLOBL_HELP: &str = "\
Each line is one document. Results are written one a line; a document that the mapping deletes gives none. A line on
which the mapping fails is told on standard error with its number, and the others go on.

Examples:
  echo '{\"name\":\"ada\"}' | sluicegate blobl 'root.name = this.name.uppercase()'
  sluicegate blobl --file clean.blobl < in.jsonl > out.jsonl
  sluicegate blobl --raw 'this.split(\",\")' < table.csv
  sluicegate blobl play --input-file message.json

Functions and methods: docs/bloblang.md. Mappings may read environment variables, files and the host name here.

Exit codes: 0 every document was mapped, 1 the mapping has faults or failed on some line, 2 wrong usage or a file that
cannot be read.";

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn commands_are_understood() {
        let parse = |line: &str| Cli::try_parse_from(line.split(' ')).map(|cli| cli.command);
        assert!(matches!(parse("sluicegate run"), Ok(Command::Run { conf: None })));
        assert!(matches!(parse("sluicegate run --conf a"), Ok(Command::Run { conf: Some(_) })));
        assert!(matches!(
            parse("sluicegate lint a b --format json"),
            Ok(Command::Lint { format: Form::Json, conf: None, files }) if files.len() == 2
        ));
        assert!(matches!(parse("sluicegate version --json"), Ok(Command::Version { json: true })));
        assert!(matches!(
            parse("sluicegate blobl -t 4 -r this.a"),
            Ok(Command::Blobl(Blobl { mapping: Some(_), threads: 4, raw: true, command: None, .. }))
        ));
        assert!(matches!(
            parse("sluicegate blobl play -i a"),
            Ok(Command::Blobl(Blobl { command: Some(BloblCommand::Play { .. }), .. }))
        ));
        for wrong in [
            "sluicegate",
            "sluicegate blobl",
            "sluicegate blobl -t 0 a",
            "sluicegate blobl -f a b",
            "sluicegate lint",
            "sluicegate walk",
            "sluicegate run --config a",
        ] {
            assert_eq!(parse(wrong).unwrap_err().exit_code(), 2, "{wrong}");
        }
    }
}
