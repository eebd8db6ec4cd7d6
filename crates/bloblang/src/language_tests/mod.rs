//! The language as it is seen from outside: mapping, message, result.

mod assignments;
mod faults;
mod limits;
mod queries;
mod templates;
mod values;

use crate::testing::{Batch, message, payload};
use crate::{Environment, Mapping};

fn run(mapping: &str, input: &str) -> String {
    run_in(&Environment::pure(), mapping, input)
}

pub(crate) fn run_in(environment: &Environment, mapping: &str, input: &str) -> String {
    let batch = Batch(vec![message(input)]);
    match Mapping::parse(environment, mapping) {
        Err(faults) => {
            format!("parse: {}", faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
        }
        Ok(mapping) => match mapping.apply(&batch, 0) {
            Ok(outcome) => payload(&outcome),
            Err(error) => format!("run: {error}"),
        },
    }
}

pub(crate) fn check(cases: &[(&str, &str, &str)]) {
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|(mapping, input, expected)| {
            let found = run(mapping, input);
            (found != *expected)
                .then(|| format!("{mapping}\n   on {input}\n  got {found}\n want {expected}\n"))
        })
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
