//! The command line: what can be asked, and what the help teaches.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

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
        /// How to tell what was found
        #[arg(long, value_enum, default_value_t = Form::Human)]
        format: Form,
    },
    /// Print the version
    Version {
        /// As JSON
        #[arg(long)]
        json: bool,
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

const EXAMPLES: &str = "\
Examples:
  sluicegate run                                  settings from ./sluicegate.yaml or ./tyk.conf, else the defaults
  sluicegate run --conf /etc/tyk/tyk.conf         an existing configuration, as it is
  TYK_GW_LISTENPORT=9000 sluicegate run           one setting from the environment
  sluicegate lint apis/ sluicegate.yaml           check before you deploy

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

Examples:
  sluicegate lint apis/*.json
  sluicegate lint --format json stream.yaml | jq '.files[].faults[].message'

Exit codes: 0 no fault (there may be warnings), 1 faults found, 2 wrong usage or a file that cannot be read.";

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
            Ok(Command::Lint { format: Form::Json, files }) if files.len() == 2
        ));
        assert!(matches!(parse("sluicegate version --json"), Ok(Command::Version { json: true })));
        for wrong in ["sluicegate", "sluicegate lint", "sluicegate walk", "sluicegate run --config a"] {
            assert_eq!(parse(wrong).unwrap_err().exit_code(), 2, "{wrong}");
        }
    }
}
