//! What mappings of streams may learn from outside of their messages: nothing, unless the configuration says so.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bloblang::{Capability, Environment, File, Files};

use crate::blobl::files::{below, content};
use crate::config::Mappings;

/// The environment that the configuration grants.
///
/// # Errors
/// When the folder is none.
pub(crate) fn environment(granted: &Mappings) -> Result<Environment, String> {
    let mut environment = Environment::pure();
    if granted.environment {
        environment = environment.with(Capability::Env);
    }
    if granted.hostname {
        environment = environment.with(Capability::Hostname);
    }
    if !granted.random {
        environment = environment.without(Capability::Random);
    }
    if !granted.files.is_empty() {
        environment = environment.with_files(Arc::new(Folder::new(&granted.files)?));
    }
    Ok(environment)
}

/// The files of one folder. Paths are relative to the file that names them, else to the folder; links lead no further.
struct Folder {
    root: PathBuf,
}

impl Folder {
    fn new(path: &str) -> Result<Folder, String> {
        let root = Path::new(path).canonicalize().ok().filter(|root| root.is_dir());
        root.map(|root| Folder { root })
            .ok_or_else(|| format!("`streaming.mappings.files`: `{path}` is no folder"))
    }
}

impl Files for Folder {
    fn open(&self, path: &str, within: Option<&str>) -> Result<File, String> {
        let folder = within.and_then(|file| Path::new(file).parent()).unwrap_or(&self.root);
        // A file outside is as good as none: nobody learns whether it is there.
        let outside = || "there is no such file in the folder that streams may read".to_owned();
        let path = folder.join(path).canonicalize().map_err(|_| outside())?;
        if !path.starts_with(&self.root) || !path.is_file() {
            return Err(outside());
        }
        let content = content(&path)?;
        Ok(File { name: path.display().to_string(), content: content.into() })
    }

    fn list(&self, folder: &str) -> Result<Vec<String>, String> {
        let outside = || "there is no such folder in the one that streams may read".to_owned();
        let folder = self.root.join(folder).canonicalize().map_err(|_| outside())?;
        if !folder.starts_with(&self.root) || !folder.is_dir() {
            return Err(outside());
        }
        below(&folder)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test may block")]
mod tests {
    use bloblang::Mapping;

    use super::*;

    /// A folder with a file, a folder beside it, and links from the one into the other.
    struct Disk(PathBuf);

    impl Disk {
        fn new(name: &str) -> Disk {
            let root =
                std::env::temp_dir().join(format!("sluicegate-mappings-{name}-{}", std::process::id()));
            let _ = std::fs::remove_dir_all(&root); // of a run that was cut short
            for folder in ["in/maps", "out"] {
                std::fs::create_dir_all(root.join(folder)).unwrap();
            }
            std::fs::write(root.join("in/a.txt"), "content of a").unwrap();
            std::fs::write(
                root.join("in/maps/m.blobl"),
                "import \"./n.blobl\"\nmap twice { root = this * 2 }",
            )
            .unwrap();
            std::fs::write(root.join("in/maps/n.blobl"), "map thrice { root = this * 3 }").unwrap();
            std::fs::write(root.join("out/secret.txt"), "secret").unwrap();
            std::os::unix::fs::symlink(root.join("out/secret.txt"), root.join("in/link.txt")).unwrap();
            std::os::unix::fs::symlink(root.join("in/a.txt"), root.join("in/same.txt")).unwrap();
            Disk(root)
        }
    }

    impl Drop for Disk {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn granted(environment: bool, files: &str, hostname: bool) -> Mappings {
        Mappings { environment, files: files.to_owned(), hostname, random: true }
    }

    struct Nothing;

    impl bloblang::BatchView for Nothing {
        fn len(&self) -> usize {
            1
        }

        fn message(&self, _: usize) -> &dyn bloblang::MessageView {
            self
        }
    }

    impl bloblang::MessageView for Nothing {
        fn content(&self) -> &[u8] {
            b"{}"
        }

        fn structured(&self) -> Result<&bloblang::Value, String> {
            Err("nothing".to_owned())
        }

        fn metadata(&self, _: &str) -> Option<&bloblang::Value> {
            None
        }

        fn metadata_all(&self, _: &mut dyn FnMut(&str, &bloblang::Value)) {}

        fn error(&self) -> Option<&str> {
            None
        }
    }

    /// What a mapping gives, or why it is refused or fails.
    fn run(granted: &Mappings, mapping: &str) -> Result<String, String> {
        let environment = environment(granted)?;
        let mapping = Mapping::parse(&environment, mapping)
            .map_err(|faults| format!("refused: {}", faults[0].message))?;
        let value = mapping.query(&Nothing, 0).map_err(|fault| format!("failed: {fault}"))?;
        Ok(value.to_text())
    }

    #[test]
    fn nothing_is_granted_unless_it_is_asked_for() {
        let disk = Disk::new("granted");
        let folder = disk.0.join("in").display().to_string();
        let (none, all) = (granted(false, "", false), granted(true, &folder, true));
        for (mapping, only) in [
            ("root = env(\"PATH\") != null", granted(true, "", false)),
            ("root = hostname().length() > 0", granted(false, "", true)),
            ("root = file(\"a.txt\").string() == \"content of a\"", granted(false, &folder, false)),
            ("import \"maps/m.blobl\"\nroot = 2.apply(\"twice\") == 4", granted(false, &folder, false)),
        ] {
            assert_eq!(run(&all, mapping).as_deref(), Ok("true"), "{mapping}");
            assert_eq!(run(&only, mapping).as_deref(), Ok("true"), "{mapping}");
            let refused = run(&none, mapping).unwrap_err();
            assert!(
                refused.starts_with("refused: ") && refused.contains("not allowed"),
                "{mapping}: {refused}"
            );
        }
        assert!(run(&granted(true, "", true), "root = file(\"a.txt\")").is_err());
        assert!(run(&granted(true, &folder, false), "root = hostname()").is_err());
        assert!(run(&granted(false, &folder, true), "root = env(\"PATH\")").is_err());
        let fault = environment(&granted(false, "/nowhere/at/all", false)).unwrap_err();
        assert!(fault.contains("`/nowhere/at/all` is no folder"), "{fault}");
    }

    #[test]
    fn chance_is_there_unless_it_is_taken_away() {
        let mut granted = granted(false, "", false);
        assert_eq!(run(&granted, "root = uuid_v4().length()").as_deref(), Ok("36"));
        granted.random = false;
        let refused = run(&granted, "root = uuid_v4().length()").unwrap_err();
        assert!(refused.contains("it draws random numbers"), "{refused}");
    }

    #[test]
    fn no_path_leads_out_of_the_folder() {
        let disk = Disk::new("outside");
        let root = disk.0.canonicalize().unwrap();
        let folder = Folder::new(&root.join("in").display().to_string()).unwrap();
        let inside = root.join("in/maps/m.blobl").display().to_string();
        for (path, within, found) in [
            ("a.txt", None, true),
            ("./maps/../a.txt", None, true),
            ("same.txt", None, true),
            ("n.blobl", Some(&*inside), true),
            ("../a.txt", Some(&*inside), true),
            (&*root.join("in/a.txt").display().to_string(), None, true),
            ("../out/secret.txt", None, false),
            ("../../out/secret.txt", Some(&*inside), false),
            ("link.txt", None, false),
            (&*root.join("out/secret.txt").display().to_string(), None, false),
            ("/etc/hostname", None, false),
            ("maps", None, false),
            ("gone.txt", None, false),
            ("a.txt\0", None, false),
        ] {
            let opened = folder.open(path, within);
            assert_eq!(opened.is_ok(), found, "{path}: {opened:?}");
        }
        std::os::unix::fs::symlink(root.join("out"), root.join("in/beside")).unwrap();
        let all = ["a.txt", "beside", "link.txt", "maps/m.blobl", "maps/n.blobl", "same.txt"];
        for (path, files) in [
            (".", Some(&all[..])),
            ("maps", Some(&["m.blobl", "n.blobl"])),
            ("maps/../maps", Some(&["m.blobl", "n.blobl"])),
            ("..", None),
            ("../out", None),
            ("beside", None),
            ("a.txt", None),
            ("/", None),
        ] {
            let listed = folder.list(path).ok();
            let files = files.map(|files| files.iter().map(|name| (*name).to_owned()).collect());
            assert_eq!(listed, files, "{path}");
        }
    }
}
