//! Certificates as PEM files: a path may stand wherever an id may (contract 12).

use tokio::io::AsyncReadExt as _;

/// Characters of a fingerprint, with which an id ends.
pub(super) const FINGERPRINT: usize = 64;
/// A larger file is none: a chain with its key takes some kilobytes.
const LARGEST: u64 = 1 << 20;

/// Whether a reference is an id, so that it never is a path.
pub(super) fn is_id(reference: &str) -> bool {
    let Some(end) = reference.len().checked_sub(FINGERPRINT) else { return false };
    reference.is_char_boundary(end)
        && reference[end..].bytes().all(|byte| byte.is_ascii_hexdigit())
        && !reference[..end].contains('/')
}

/// What is in a file; `None`, and why in the log, if that cannot be a certificate.
pub(super) async fn read(reference: &str) -> Option<Vec<u8>> {
    if is_id(reference) {
        return None;
    }
    match read_whole(reference).await {
        Ok(text) => Some(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => {
            tracing::error!(file = reference, %error, "a file of certificates cannot be read");
            None
        }
    }
}

async fn read_whole(path: &str) -> std::io::Result<Vec<u8>> {
    let refused = |why: &str| std::io::Error::new(std::io::ErrorKind::InvalidInput, why);
    // Before it is opened: opening a pipe waits for whoever writes to it.
    if !tokio::fs::metadata(path).await?.is_file() {
        return Err(refused("it is no regular file"));
    }
    let mut text = Vec::new();
    tokio::fs::File::open(path).await?.take(LARGEST + 1).read_to_end(&mut text).await?;
    if text.len() as u64 > LARGEST {
        return Err(refused("it is larger than 1 MiB"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c12_row_2_an_id_ends_with_a_fingerprint_and_is_no_path() {
        let print = "0123456789abcdef".repeat(4);
        for (reference, id) in [
            (print.clone(), true),
            (format!("org{print}"), true),
            (format!("o.r.g{print}"), true),
            (format!("/etc/{print}"), false),
            (format!("./{print}"), false),
            (print[1..].to_owned(), false),
            (format!("{print}.pem"), false),
            (format!("é{}", &print[1..]), false),
            ("/etc/ssl/cert.pem".to_owned(), false),
            (String::new(), false),
        ] {
            assert_eq!(is_id(&reference), id, "{reference}");
        }
    }

    #[tokio::test]
    async fn only_regular_files_of_a_reasonable_size_are_read() {
        let folder = std::env::temp_dir().join(format!("sluicegate-files-{}", uuid::Uuid::new_v4()));
        tokio::fs::create_dir(&folder).await.unwrap();
        let path = |name: &str| folder.join(name).display().to_string();
        tokio::fs::write(path("good"), vec![b'x'; 1 << 20]).await.unwrap();
        tokio::fs::write(path("large"), vec![b'x'; (1 << 20) + 1]).await.unwrap();
        let print = "a".repeat(FINGERPRINT);
        let pipe = std::process::Command::new("mkfifo").arg(path("pipe")).status();
        for (reference, read_whole) in [
            (path("good"), true),
            (path("large"), false),
            (path("none"), false),
            (folder.display().to_string(), false),
            ("/dev/zero".to_owned(), false),
            (print, false),
        ] {
            assert_eq!(read(&reference).await.is_some(), read_whole, "{reference}");
        }
        if pipe.is_ok_and(|status| status.success()) {
            assert!(read(&path("pipe")).await.is_none());
        }
        tokio::fs::remove_dir_all(&folder).await.unwrap();
    }
}
