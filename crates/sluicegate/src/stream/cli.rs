//! What `sluicegate stream` can be asked.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::cli::Form;

/// What is to be done with stream configurations.
#[derive(Debug, Subcommand)]
pub(crate) enum Stream {
    /// Run one stream until its input ends or it is told to stop
    #[command(after_help = RUN_HELP)]
    Run {
        /// The configuration
        #[arg(value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        with: With,
        /// Run in spite of faults that lint finds, and tell them as warnings
        #[arg(long)]
        chilled: bool,
    },
    /// Run any number of streams beside each other, which come and go over HTTP
    #[command(after_help = STREAMS_HELP)]
    Streams {
        /// Configurations to begin with, or folders of them; the id of each is its name without its ending
        #[arg(value_name = "FILES")]
        files: Vec<PathBuf>,
        /// What they share: `http`, `logger` and `shutdown_timeout`
        #[arg(short, long, value_name = "FILE")]
        config: Option<PathBuf>,
        #[command(flatten)]
        with: With,
        /// Run in spite of faults that lint finds, and tell them as warnings
        #[arg(long)]
        chilled: bool,
    },
    /// Run the tests of stream configurations
    #[command(after_help = TEST_HELP)]
    Test {
        /// Configurations or files of tests, or folders of them
        #[arg(required = true, value_name = "FILES")]
        files: Vec<PathBuf>,
        #[command(flatten)]
        with: With,
    },
    /// Check stream configurations, every fault with its place
    #[command(after_help = LINT_HELP)]
    Lint {
        /// Configurations, or folders whose *.json, *.yaml and *.yml files are meant
        #[arg(required = true, value_name = "FILES")]
        files: Vec<PathBuf>,
        #[command(flatten)]
        with: With,
        /// How to tell what was found
        #[arg(long, value_enum, default_value_t = Form::Human)]
        format: Form,
        /// Fields that should not be written any more are faults
        #[arg(long)]
        deprecated: bool,
        /// Components without a label are faults
        #[arg(long)]
        labels: bool,
    },
    /// Print a configuration with the components that are named, to begin with
    #[command(after_help = CREATE_HELP)]
    Create {
        /// INPUTS/PROCESSORS/OUTPUTS, each names separated by commas, each may be left out
        #[arg(default_value = "")]
        expression: String,
        /// Without the fields that are seldom needed
        #[arg(short, long)]
        small: bool,
        #[command(flatten)]
        with: WithTemplates,
    },
    /// List the components that there are
    #[command(after_help = LIST_HELP)]
    List {
        /// Which sorts; without any all of them
        #[arg(value_enum, value_delimiter = ',', value_name = "KIND")]
        kinds: Vec<Listed>,
        /// How to list them
        #[arg(long, value_enum, default_value_t = ListForm::Text)]
        format: ListForm,
        #[command(flatten)]
        with: WithTemplates,
    },
}

/// What is read beside the configuration.
#[derive(Debug, Default, Args)]
pub(crate) struct With {
    /// A file of resources, or a pattern such as 'resources/*.yaml'; may be given again
    #[arg(short, long, value_name = "PATTERN")]
    pub(crate) resources: Vec<String>,
    #[command(flatten)]
    pub(crate) templates: WithTemplates,
    /// Set a field of the configuration, such as -s input.generate.count=5; may be given again
    #[arg(short, long, value_name = "PATH=VALUE")]
    pub(crate) set: Vec<String>,
    /// A file of variables for ${NAME} in configurations, NAME=VALUE a line; may be given again; they win over the variables of the process
    #[arg(short, long, value_name = "FILE")]
    pub(crate) env_file: Vec<PathBuf>,
}

/// Components that are made of others.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct WithTemplates {
    /// A file of a template, or a pattern such as 'templates/*.yaml'; may be given again
    #[arg(short, long, value_name = "PATTERN")]
    pub(crate) templates: Vec<String>,
}

/// What can be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Listed {
    /// Where batches come from
    Inputs,
    /// What changes them
    Processors,
    /// Where they go
    Outputs,
    /// What remembers values by key
    Caches,
    /// What says how often something may happen
    RateLimits,
    /// What keeps batches between input and pipeline
    Buffers,
    /// What cuts bytes into messages
    Scanners,
    /// Where counters go
    Metrics,
    /// Where spans go
    Tracers,
    /// Functions of mappings
    BloblangFunctions,
    /// Methods of mappings
    BloblangMethods,
}

/// How components are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ListForm {
    /// Names under a heading for each sort
    Text,
    /// An object of lists of names
    Json,
    /// The same with the summary of each
    JsonFull,
    /// The JSON Schema of a configuration made of them
    Jsonschema,
}

const RUN_HELP: &str = "\
Without `input` the lines of standard input are read, without `output` lines are written to standard output. The log goes
to standard error. SIGINT and SIGTERM stop the input, deliver what is under way and end the process; a second one ends it
at once.

Examples:
  sluicegate stream run orders.yaml
  sluicegate stream run -r 'resources/*.yaml' -s input.generate.count=5 orders.yaml
  sluicegate stream run --chilled old.yaml

With --chilled what cannot be built still does not run: a mapping with faults, a component that there is not.

Exit codes: 0 ended or stopped as asked, 1 the configuration is wrong or something broke down, 2 a file cannot be read.";

const STREAMS_HELP: &str = "\
The endpoints of the stream of orders.yaml are below /orders/. The API lists, makes, changes and stops streams:
GET and POST /streams, GET, POST, PUT, PATCH and DELETE /streams/{id}, GET /streams/{id}/stats, POST /resources/{sort}/{label}.
Where TYK_GW_SECRET is set, it wants that secret in the header x-tyk-authorization; without a secret it answers to clients
on this machine alone.

Examples:
  sluicegate stream streams streams/
  sluicegate stream streams -c service.yaml -r 'resources/*.yaml' orders.yaml
  curl -X POST --data-binary @orders.yaml http://127.0.0.1:4195/streams/orders

Exit codes: 0 stopped as asked, 1 a configuration is wrong or something broke down, 2 a file cannot be read.";

const TEST_HELP: &str = "\
Tests stand under `tests` in a configuration, or beside orders.yaml in orders_bento_test.yaml. Each gives batches to
processors of the configuration and says what must come out.

Examples:
  sluicegate stream test orders.yaml
  sluicegate stream test streams/

Exit codes: 0 all passed, 1 one failed or a configuration is wrong, 2 a file cannot be read.";

const LINT_HELP: &str = "\
Checks what `sluicegate stream run` would run: unsafe components are allowed, and variables ${NAME} are replaced.
(`sluicegate lint` checks what a gate would serve.) A file may hold resources alone, or a template: then its tests are run.

Examples:
  sluicegate stream lint orders.yaml
  sluicegate stream lint -r 'resources/*.yaml' streams/
  sluicegate stream lint --deprecated --labels orders.yaml

Exit codes: 0 no fault (there may be warnings), 1 faults found, 2 wrong usage or a file that cannot be read.";

const CREATE_HELP: &str = "\
Examples:
  sluicegate stream create kafka/mapping/http_client > orders.yaml
  sluicegate stream create --small generate,http_server//stdout
  sluicegate stream create -t 'templates/*.yaml' generate/loud/stdout

Exit codes: 0 done, 1 there is no such component.";

const LIST_HELP: &str = "\
Examples:
  sluicegate stream list inputs outputs
  sluicegate stream list --format json | jq '.inputs[]'
  sluicegate stream list --format jsonschema > stream.schema.json";
