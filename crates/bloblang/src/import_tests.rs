//! Mappings that are made of several files.

use std::sync::Arc;

use bytes::Bytes;

use crate::testing::{Batch, message, payload};
use crate::{Environment, File, Files, Mapping};

/// Files in memory: names are paths, relative ones refer to the folder of the file that names them.
struct Memory(Vec<(&'static str, &'static str)>);

impl Files for Memory {
    fn open(&self, path: &str, within: Option<&str>) -> Result<File, String> {
        let folder = within.and_then(|within| within.rsplit_once('/')).map_or("", |(folder, _)| folder);
        let name = if folder.is_empty() { path.to_owned() } else { format!("{folder}/{path}") };
        let found = self.0.iter().find(|(known, _)| *known == name);
        let (_, content) = found.ok_or_else(|| "no such file".to_owned())?;
        Ok(File { name, content: Bytes::from_static(content.as_bytes()) })
    }
}

fn run(files: &[(&'static str, &'static str)], mapping: &str, input: &str) -> String {
    let env = Environment::pure().with_files(Arc::new(Memory(files.to_vec())));
    let batch = Batch(vec![message(input)]);
    match Mapping::parse(&env, mapping) {
        Err(faults) => faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
        Ok(mapping) => match mapping.apply(&batch, 0) {
            Ok(outcome) => payload(&outcome),
            Err(error) => format!("run: {error}"),
        },
    }
}

const TWICE: (&str, &str) = ("lib/twice.blobl", "map twice {\n  root = this * 2\n}\nroot = \"not run\"");
const FOUR: (&str, &str) = (
    "lib/four.blobl",
    "import \"twice.blobl\"\nmap four {\n  root = this.apply(\"twice\").apply(\"twice\")\n}",
);

#[test]
fn maps_of_files() {
    for (files, mapping, expected) in [
        (vec![TWICE], "import \"lib/twice.blobl\"\nroot = this.apply(\"twice\")", "6"),
        // A file's own imports are relative to it, and their maps are there, too.
        (
            vec![TWICE, FOUR],
            "import \"lib/four.blobl\"\nroot = this.apply(\"four\") + this.apply(\"twice\")",
            "18",
        ),
        // Two ways to the same file are one file.
        (
            vec![TWICE, FOUR],
            "import \"lib/four.blobl\"\nimport \"lib/twice.blobl\"\nroot = this.apply(\"four\")",
            "12",
        ),
        (vec![("whole.blobl", "root.a = this")], "from \"whole.blobl\"", r#"{"a":3}"#),
        (vec![("query.blobl", "this + 1")], "# all of it\nfrom \"query.blobl\"\n", "4"),
        (vec![("a.blobl", "from \"b.blobl\""), ("b.blobl", "root = [this]")], "from \"a.blobl\"", "[3]"),
        (vec![TWICE, FOUR], "from \"lib/four.blobl\"", "unchanged"),
        (vec![], "from = 1\nimport = 2", r#"{"from":1,"import":2}"#),
        (
            vec![("err.blobl", "map m {\n\n  root = this.x.uppercase()\n}")],
            "import \"err.blobl\"\nroot = this.apply(\"m\")",
            "run: failed assignment (line 2): failed assignment (line 3): expected string value, got null from field `this.x`",
        ),
    ] {
        assert_eq!(run(&files, mapping, "3"), expected, "{mapping}");
    }
}

#[test]
fn faults_of_files() {
    for (files, mapping, expected) in [
        (
            vec![("bad.blobl", "map a {\n  root = this.upercase()\n}")],
            "# one\nimport \"bad.blobl\"\nroot = this.apply(\"a\")",
            "line 2 char 8: in bad.blobl, line 2 char 15: unrecognised method `upercase` (did you mean `uppercase`?)",
        ),
        (
            vec![("bad.blobl", "map a {\n  root = ]\n}")],
            "import \"bad.blobl\"",
            "line 1 char 8: in bad.blobl, line 2 char 10: expected a query, found `]`",
        ),
        (vec![], "import \"no.blobl\"", "line 1 char 8: cannot import file `no.blobl`: no such file"),
        (vec![], "from \"no.blobl\"", "line 1 char 6: cannot import file `no.blobl`: no such file"),
        (
            vec![("empty.blobl", "root = 1")],
            "import \"empty.blobl\"",
            "line 1 char 8: there are no maps to import in file `empty.blobl`",
        ),
        (
            vec![TWICE],
            "import \"lib/twice.blobl\"\nimport \"lib/twice.blobl\"",
            "line 2 char 8: file `lib/twice.blobl` is imported twice",
        ),
        (
            vec![TWICE],
            "map twice { root = 1 }\nimport \"lib/twice.blobl\"\nroot = this.apply(\"twice\")",
            "line 2 char 8: in lib/twice.blobl, line 1 char 5: map `twice` is defined twice",
        ),
        (
            vec![
                ("a.blobl", "import \"b.blobl\"\nmap a { root = 1 }"),
                ("b.blobl", "import \"a.blobl\"\nmap b { root = 1 }"),
            ],
            "import \"a.blobl\"",
            "line 1 char 8: in b.blobl, line 1 char 8: file `a.blobl` imports itself: a.blobl -> b.blobl -> a.blobl",
        ),
        (
            vec![("a.blobl", "from \"a.blobl\"")],
            "from \"a.blobl\"",
            "line 1 char 6: in a.blobl, line 1 char 6: file `a.blobl` imports itself: a.blobl -> a.blobl",
        ),
        (
            vec![TWICE],
            "from \"lib/twice.blobl\"\nroot = 1",
            "line 1 char 1: `from` makes another file the whole mapping, so it must stand alone (write `import` to use only the maps of the file)",
        ),
        (
            vec![TWICE],
            "if true {\n  import \"lib/twice.blobl\"\n}",
            "line 2 char 3: files can only be imported at the top level",
        ),
        (
            vec![TWICE],
            "import \"lib/twice.blobl\"\nroot = this.apply(\"twize\")",
            "line 2 char 19: method `apply`, argument `mapping`: map twize was not found (did you mean `twice`?)",
        ),
    ] {
        assert_eq!(run(&files, mapping, "3"), expected, "{mapping}");
    }
}

#[test]
fn a_fault_is_explained_where_it_stands() {
    let files = Memory(vec![("bad.blobl", "map a {\n\troot = this.upercase()\n}")]);
    let env = Environment::pure().with_files(Arc::new(files));
    let faults = Mapping::parse(&env, "import \"bad.blobl\"").unwrap_err();
    assert_eq!(
        faults[0].explain("config.blobl"),
        "line 2 char 14: unrecognised method `upercase`\n --> bad.blobl:2:14\n  |\n2 | \troot = this.upercase()\n  | \t            ^^^^^^^^\n  = did you mean `uppercase`?"
    );
    let faults = Mapping::parse(&env, "root = 1\nroot.a = $b").unwrap_err();
    assert_eq!(
        faults[0].explain("config.blobl"),
        "line 2 char 11: variable `b` is not defined before this point\n --> config.blobl:2:11\n  |\n2 | root.a = $b\n  |           ^"
    );
}
