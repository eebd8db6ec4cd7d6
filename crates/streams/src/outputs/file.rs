//! Writes files of the machine (streams contract 3.12).

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bloblang::Template;
use bytes::BytesMut;
use document::Fault;
use tokio::fs::{File, OpenOptions};
use tokio::io::AsyncWriteExt;
use tokio::sync::Mutex;

use crate::build::BuildContext;
use crate::component::{ConnectError, Output, WriteError};
use crate::files::{CODEC, Codec};
use crate::message::{Message, View};
use crate::node::Node;
use crate::registry::{Field, Kind, OutputSpec};

pub(super) static SPEC: OutputSpec = OutputSpec {
    name: "file",
    summary: "Writes messages to files, which are made with their folders where they are missing. One file is open at a time.",
    config: Kind::Object(&[Field::required("path", Kind::Template, "The file of each message."), CODEC]),
    build,
};

fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Output>, Fault> {
    let codec = Codec::parse(&node.text("codec")?).map_err(|fault| node.field_fault("codec", fault))?;
    Ok(Box::new(FileOutput { path: node.template("path", context)?, codec, open: Mutex::default() }))
}

struct FileOutput {
    path: Template,
    codec: Codec,
    /// The file that was written last.
    open: Mutex<Option<(PathBuf, File)>>,
}

impl FileOutput {
    /// Writes messages of one file.
    async fn append(&self, path: &Path, bytes: &[u8]) -> Result<(), String> {
        let told =
            |fault: std::io::Error| format!("the file `{}` cannot be written: {fault}", path.display());
        let mut open = self.open.lock().await;
        let mut file = match open.take() {
            Some((known, file)) if known == path => file,
            _ => {
                make_folder(path).await.map_err(told)?;
                OpenOptions::new().append(true).create(true).open(path).await.map_err(told)?
            }
        };
        // What fails is opened again.
        file.write_all(bytes).await.map_err(told)?;
        file.flush().await.map_err(told)?;
        *open = Some((path.to_owned(), file));
        Ok(())
    }

    async fn replace(&self, path: &Path, message: &Message) -> Result<(), String> {
        let told =
            |fault: std::io::Error| format!("the file `{}` cannot be written: {fault}", path.display());
        make_folder(path).await.map_err(told)?;
        tokio::fs::write(path, message.bytes()).await.map_err(told)
    }
}

async fn make_folder(path: &Path) -> std::io::Result<()> {
    match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => tokio::fs::create_dir_all(folder).await,
        None => Ok(()),
    }
}

#[async_trait]
impl Output for FileOutput {
    async fn connect(&self) -> Result<(), ConnectError> {
        Ok(())
    }

    async fn write(&self, batch: &[Message]) -> Result<(), WriteError> {
        let mut failures = Vec::new();
        let mut paths = Vec::with_capacity(batch.len());
        for index in 0..batch.len() {
            paths.push(match self.path.render(&View(batch), index) {
                Ok(path) if path.is_empty() => {
                    failures.push((index, "the path is empty".to_owned()));
                    None
                }
                Ok(path) => Some(PathBuf::from(path)),
                Err(fault) => {
                    failures.push((index, format!("the path failed: {fault}")));
                    None
                }
            });
        }
        let mut index = 0;
        while index < batch.len() {
            // Neighbours of one file are written at once.
            let count = match (&self.codec, &paths[index]) {
                (Codec::Whole, _) | (_, None) => 1,
                (_, path) => paths[index..].iter().take_while(|other| *other == path).count(),
            };
            let messages = &batch[index..index + count];
            if let Some(path) = &paths[index] {
                let written = match &self.codec {
                    Codec::Whole => self.replace(path, &messages[0]).await,
                    codec => {
                        let mut bytes = BytesMut::new();
                        messages.iter().for_each(|message| codec.write(message, &mut bytes));
                        self.append(path, &bytes).await
                    }
                };
                if let Err(fault) = written {
                    failures.extend((index..index + count).map(|index| (index, fault.clone())));
                }
            }
            index += count;
        }
        if failures.is_empty() { Ok(()) } else { Err(WriteError::Partial(failures)) }
    }

    async fn close(&self) {
        *self.open.lock().await = None;
    }
}
