//! From the text of `.proto` files to types.

use std::collections::BTreeMap;

use prost_reflect::{DescriptorPool, MessageDescriptor, MethodDescriptor};
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};
use protox::{Compiler, Error};
use streams::BuildContext;

use super::Form;
use crate::files;

/// The stack that compiling finds: files import one another as deep as there are files.
const STACK: usize = 64 << 20;
/// Most bytes of all texts together.
const LARGEST: usize = 16 << 20;
/// Most files.
const MOST: usize = 4096;
/// How many names of messages a fault lists.
const TOLD: usize = 8;

/// The messages of some `.proto` files and of all that they import.
#[derive(Debug, Clone)]
pub struct Types {
    pool: DescriptorPool,
}

/// Files by the names under which they import each other.
struct Given(BTreeMap<String, String>);

impl FileResolver for Given {
    fn open_file(&self, name: &str) -> Result<File, Error> {
        match self.0.get(name) {
            Some(text) => File::from_source(name, text),
            None => Err(Error::file_not_found(name)),
        }
    }
}

impl Types {
    /// Compiles the files `roots` of `files`, which hold texts by the names under which they import each other. The files of
    /// `google/protobuf/` need not be among them.
    ///
    /// # Errors
    /// What is wrong with one of them.
    pub fn compile<'a>(
        roots: impl IntoIterator<Item = &'a str>,
        files: BTreeMap<String, String>,
    ) -> Result<Types, String> {
        if files.len() > MOST {
            return Err(format!("there are more than {MOST} files"));
        }
        if files.values().map(String::len).sum::<usize>() > LARGEST {
            return Err(format!("the files are larger than {LARGEST} bytes together"));
        }
        let mut resolver = ChainFileResolver::new();
        resolver.add(Given(files));
        resolver.add(GoogleFileResolver::new());
        let mut compiler = Compiler::with_file_resolver(resolver);
        stacker::grow(STACK, || {
            for root in roots {
                compiler.open_file(root).map_err(|fault| told(&fault))?;
            }
            Ok(Types { pool: compiler.descriptor_pool() })
        })
    }

    /// Reads folders and files with `.proto` texts, and compiles them.
    ///
    /// # Errors
    /// What cannot be read, or is wrong with one of them.
    pub fn read(paths: &[String], context: &BuildContext<'_>) -> Result<Types, String> {
        if paths.is_empty() {
            return Err("no folder with `.proto` files is named".to_owned());
        }
        let mut texts = BTreeMap::new();
        for path in paths {
            files::gather(path, ".proto", context, (MOST, LARGEST), &mut texts)?;
        }
        let roots: Vec<String> = texts.keys().cloned().collect();
        Types::compile(roots.iter().map(String::as_str), texts)
    }

    /// A method of a service, both by their names, that of the service with its package.
    ///
    /// # Errors
    /// Which of the two is not there, and what is.
    pub fn procedure(&self, service: &str, method: &str) -> Result<Procedure, NoProcedure> {
        let listed = |names: Vec<String>| match names.is_empty() {
            true => "there is none".to_owned(),
            false => format!("there is {}", names.join(", ")),
        };
        let Some(found) = self.pool.get_service_by_name(service.strip_prefix('.').unwrap_or(service)) else {
            let names = self.pool.services().take(TOLD).map(|service| service.full_name().to_owned());
            let text = format!("there is no service `{service}`; {}", listed(names.collect()));
            return Err(NoProcedure { of_service: true, text });
        };
        match found.methods().find(|known| known.name() == method) {
            Some(method) => Ok(Procedure(method)),
            None => {
                let names = found.methods().take(TOLD).map(|method| method.name().to_owned());
                let text = format!("`{service}` has no method `{method}`; {}", listed(names.collect()));
                Err(NoProcedure { of_service: false, text })
            }
        }
    }

    /// A message by its full name, a leading dot or none.
    ///
    /// # Errors
    /// That there is none; some that are there are named.
    pub fn message(&self, name: &str) -> Result<MessageDescriptor, String> {
        let name = name.strip_prefix('.').unwrap_or(name);
        if let Some(found) = self.pool.get_message_by_name(name) {
            return Ok(found);
        }
        let own = |message: &MessageDescriptor| {
            !message.is_map_entry() && message.package_name() != "google.protobuf"
        };
        let mut names: Vec<String> =
            self.pool.all_messages().filter(own).map(|message| message.full_name().to_owned()).collect();
        names.sort();
        let more = if names.len() > TOLD { " and more" } else { "" };
        names.truncate(TOLD);
        match names.is_empty() {
            true => Err(format!("there is no message `{name}`: the files define none")),
            false => Err(format!("there is no message `{name}`; there are {}{more}", names.join(", "))),
        }
    }

    /// The messages of one file with those inside of them, each with its way: the index of the outermost, then of those in it.
    pub fn of_file(&self, name: &str) -> Vec<(Vec<i32>, MessageDescriptor)> {
        let mut found = Vec::new();
        let Some(file) = self.pool.get_file_by_name(name) else { return found };
        for (index, message) in file.messages().enumerate() {
            gather(&mut found, &mut vec![index], message);
        }
        found
    }
}

/// Why there is no such method.
#[derive(Debug)]
pub struct NoProcedure {
    /// It is the service that is not there.
    pub of_service: bool,
    /// What is wrong.
    pub text: String,
}

/// A method of a service. Its messages are JSON to whoever calls it.
#[derive(Debug, Clone)]
pub struct Procedure(MethodDescriptor);

impl Procedure {
    /// Service and method, as they stand in the path of a call.
    pub fn path(&self) -> String {
        format!("{}/{}", self.0.parent_service().full_name(), self.0.name())
    }

    /// Whether it takes a stream of messages.
    pub fn takes_stream(&self) -> bool {
        self.0.is_client_streaming()
    }

    /// Whether it gives a stream of messages.
    pub fn gives_stream(&self) -> bool {
        self.0.is_server_streaming()
    }

    /// What it takes.
    ///
    /// # Errors
    /// When the document is none of its messages.
    pub fn encode(&self, document: &[u8]) -> Result<Vec<u8>, String> {
        Form::default().from_json(&self.0.input(), document)
    }

    /// What it gives.
    ///
    /// # Errors
    /// When the bytes are none of its messages.
    pub fn decode(&self, message: &[u8]) -> Result<Vec<u8>, String> {
        Form::default().to_json(&self.0.output(), message)
    }
}

/// Puts a message and those inside of it to the others. They nest 31 levels deep at most, by the parser.
fn gather(found: &mut Vec<(Vec<i32>, MessageDescriptor)>, way: &mut Vec<usize>, message: MessageDescriptor) {
    if message.is_map_entry() {
        return;
    }
    found.push((way.iter().filter_map(|index| i32::try_from(*index).ok()).collect(), message.clone()));
    for (index, child) in message.child_messages().enumerate() {
        way.push(index);
        gather(found, way, child);
        way.pop();
    }
}

/// A fault with its file and place.
fn told(fault: &Error) -> String {
    // The detailed form is `file:line:column: what is wrong`, with more lines that quote the text.
    let text = format!("{fault:?}");
    match text.lines().next().filter(|line| !line.trim().is_empty()) {
        Some(line) => line.to_owned(),
        None => fault.to_string(),
    }
}
