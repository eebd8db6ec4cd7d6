//! The tests of a template.

use document::{Document, Fault};
use serde_json::Value as Json;

use super::{Template, around};
use crate::lint::lint;
use crate::settings::Settings;

impl Template {
    /// Runs the tests that stand in the document of this template: what is wrong with what it makes, with places.
    pub fn test(&self, document: &Document, settings: &Settings) -> Vec<Fault> {
        let tests = document.value()["tests"].as_array().map_or(&[][..], Vec::as_slice);
        let mut faults = Vec::new();
        for (index, test) in tests.iter().enumerate() {
            faults.extend(self.run(test, &format!("/tests/{index}"), settings));
        }
        document.locate(&mut faults);
        faults
    }

    fn run(&self, test: &Json, pointer: &str, settings: &Settings) -> Vec<Fault> {
        let name = test["name"].as_str().unwrap_or_default();
        let made = match self.apply(&test["config"], &format!("{pointer}/config")) {
            Ok(made) => made,
            Err(faults) => return faults,
        };
        if let Some(expected) = test.get("expected")
            && *expected != made
        {
            let text = format!("test `{name}`: the mapping makes {made}");
            return vec![Fault::error(format!("{pointer}/expected"), text)];
        }
        let faults = lint(&around(self.sort, made), "", settings).into_iter().filter(Fault::is_error);
        let told = |fault: Fault| {
            let text = format!(
                "test `{name}`: what the mapping makes is wrong at {}: {}",
                fault.pointer, fault.message
            );
            Fault { pointer: pointer.to_owned(), place: None, message: text, ..fault }
        };
        faults.map(told).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use document::Format;
    use serde_json::json;

    use super::*;
    use crate::registry::Registry;
    use crate::templates::Templates;

    const SHOUT: &str = r#"
name: shout
type: processor
fields:
  - { name: mark, type: string, default: "!" }
  - { name: times, type: int, kind: scalar }
mapping: |
  root.mapping = "root = content().uppercase() + \"%s\"".format(this.mark.repeat(this.times))
"#;

    fn settings(templates: &[&str]) -> Settings {
        let mut settings = Settings::new(Registry::standard());
        settings.alone = true;
        let mut all = Templates::default();
        for text in templates {
            all.add(Template::parse(text, &settings).expect("a template")).expect("a new name");
        }
        settings.templates = Arc::new(all);
        settings
    }

    fn stream(processor: Json) -> Json {
        around(crate::sort::Sort::Processor, processor)
    }

    #[test]
    fn a_template_stands_where_its_sort_does() {
        let settings = settings(&[SHOUT]);
        for processor in [
            json!({"shout": {"times": 2}}),
            json!({"label": "loud", "shout": {"times": 1, "mark": "?"}}),
            json!({"try": [{"shout": {"times": 1}}]}),
        ] {
            assert_eq!(lint(&stream(processor.clone()), "", &settings), [], "{processor}");
        }
        let config = stream(json!({"label": "l", "shout": {"times": 2}}));
        let (value, faults) = settings.expand(&config, "");
        assert_eq!(faults, []);
        let expected = json!({"label": "l", "mapping": "root = content().uppercase() + \"!!\""});
        assert_eq!(value["pipeline"]["processors"][0], expected);
    }

    #[test]
    fn faults_are_told_where_the_template_is_used() {
        let settings = settings(&[
            SHOUT,
            "{name: again, type: processor, mapping: 'root.again = {}'}",
            "{name: wrong, type: processor, mapping: 'root.mapping = \"root = \"'}",
            "{name: nothing, type: processor, mapping: 'root = 1'}",
            "{name: reach, type: processor, mapping: 'root.command.name = \"true\"'}",
        ]);
        let at = "/pipeline/processors/0";
        for (processor, pointer, told) in [
            (json!({"shout": {}}), "/shout", "needs the field `times`"),
            (json!({"shout": {"times": "x"}}), "/shout/times", "a whole number"),
            (json!({"shout": {"times": 1, "mrak": ""}}), "/shout/mrak", "unknown field `mrak`"),
            (json!({"shout": 1}), "/shout", "must be an object"),
            (json!({"again": {}}), "/again/again", "without end"),
            (json!({"nothing": {}}), "/nothing", "makes no object"),
            (json!({"wrong": {}}), "/mapping", "bloblang"),
        ] {
            let faults = lint(&stream(processor.clone()), "", &settings);
            let fault = faults.first().expect("a fault");
            assert!(fault.pointer.starts_with(&format!("{at}{pointer}")), "{processor}: {fault:?}");
            assert!(fault.message.contains(told), "{processor}: {fault:?}");
        }
        // What may not be used may not be made, either.
        let mut gated = settings;
        gated.alone = false;
        assert!(lint(&stream(json!({"reach": {}})), "", &gated).iter().any(Fault::is_error));
    }

    #[test]
    fn tests_compare_what_the_mapping_makes() {
        let text = format!(
            "{SHOUT}tests:\n  - name: right\n    config: {{ times: 1 }}\n    expected: {{ mapping: 'root = content().uppercase() + \"!\"' }}\n  - name: other\n    config: {{ times: 2 }}\n    expected: {{ mapping: root }}\n"
        );
        let settings = settings(&[]);
        let document = Document::parse(text.as_str(), Format::Yaml).expect("YAML");
        let (template, warnings) = Template::read(&document, &settings).expect("a template");
        assert_eq!(warnings, []);
        let faults = template.test(&document, &settings);
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].message.contains("test `other`") && faults[0].place.is_some(), "{faults:?}");
    }

    #[test]
    fn a_template_that_cannot_be_read_says_why() {
        let settings = settings(&[]);
        for (text, pointer) in [
            ("{name: a, type: processor}", ""),
            ("{name: A, type: processor, mapping: root}", "/name"),
            ("{name: a, type: cup, mapping: root}", "/type"),
            ("{name: a, type: processor, mapping: 'root ='}", "/mapping"),
            (
                "{name: a, type: processor, mapping: root, fields: [{name: f, type: int, default: x}]}",
                "/fields/0/default",
            ),
        ] {
            let faults = Template::parse(text, &settings).expect_err(text);
            assert!(faults.iter().any(|fault| fault.pointer == pointer), "{text}: {faults:?}");
        }
    }
}
