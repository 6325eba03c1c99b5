//! Files as they are uploaded: found below their folder, and still what the plan saw.

use std::path::{Component, Path, PathBuf};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::super::error::{Explain as _, refusal};
use super::{File, Properties};
use crate::model::{CloudError, ErrorKind};

/// The content of the file behind an object's key. It must be the one that was planned.
pub(super) async fn load(desired: &Properties, key: &str, file: &File) -> Result<Bytes, CloudError> {
    let path = path(desired, key)?;
    let size = file.size;
    let read = {
        let path = path.clone();
        tokio::task::spawn_blocking(move || {
            // A file that has grown beyond what was planned is not read at all.
            if std::fs::symlink_metadata(&path)?.len() != size {
                return Ok(None);
            }
            let content = std::fs::read(&path)?;
            let digest = hex::encode(Sha256::digest(&content));
            Ok::<_, std::io::Error>(Some((Bytes::from(content), digest)))
        })
        .await
    };
    match read {
        Ok(Ok(Some((content, digest)))) if digest == file.digest => Ok(content),
        Ok(Ok(_)) => {
            let message = format!("the file {} has changed since it was planned", path.display());
            Err(refusal("s3:PutObject", ErrorKind::Invalid, message).hinting("plan again, then apply"))
        }
        Ok(Err(why)) => Err(unreadable(&path, &why)),
        Err(why) => Err(refusal("s3:PutObject", ErrorKind::Invalid, format!("{}: {why}", path.display()))),
    }
}

fn path(desired: &Properties, key: &str) -> Result<PathBuf, CloudError> {
    let refuse = |why: &str| refusal("s3:PutObject", ErrorKind::Invalid, format!("the object {key} {why}"));
    let folder =
        desired.folder.as_deref().ok_or_else(|| refuse("has no folder on this machine to come from"))?;
    let name = key.strip_prefix(&desired.prefix).ok_or_else(|| refuse("does not begin with its prefix"))?;
    let plain = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    if name.is_empty() || !plain {
        return Err(refuse("names no file below its folder"));
    }
    let root = std::fs::canonicalize(folder).map_err(|why| unreadable(Path::new(folder), &why))?;
    let path = root.join(name);
    let real = std::fs::canonicalize(&path).map_err(|why| unreadable(&path, &why))?;
    // Also a symbolic link that was put there after the plan leads nowhere else.
    if real == path && real.starts_with(&root) {
        Ok(real)
    } else {
        Err(refuse("comes from a file outside of its folder"))
    }
}

fn unreadable(path: &Path, why: &std::io::Error) -> CloudError {
    refusal("s3:PutObject", ErrorKind::Invalid, format!("{} cannot be read: {why}", path.display()))
        .hinting("plan again: it reads the folder anew")
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn loaded(folder: &Path, key: &str, content: &str) -> Result<Bytes, String> {
        let desired = Properties {
            prefix: "docs/".to_owned(),
            folder: Some(folder.display().to_string()),
            ..Properties::default()
        };
        let digest = hex::encode(Sha256::digest(content));
        let file = File { content_type: String::new(), digest, size: content.len() as u64 };
        load(&desired, key, &file).await.map_err(|error| error.message)
    }

    #[tokio::test]
    async fn only_planned_content_below_the_folder_is_read() {
        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().canonicalize().unwrap().join("site");
        std::fs::create_dir_all(folder.join("a")).unwrap();
        std::fs::write(folder.join("a/b.txt"), "hello").unwrap();
        std::fs::write(outer.path().join("secret"), "hello").unwrap();
        assert_eq!(loaded(&folder, "docs/a/b.txt", "hello").await.unwrap(), "hello");
        let refused = |key: &'static str, content: &'static str| {
            let folder = folder.clone();
            async move { loaded(&folder, key, content).await.unwrap_err() }
        };
        assert!(refused("docs/a/b.txt", "other").await.contains("has changed since it was planned"));
        assert!(
            refused("docs/a/b.txt", "longer than it is").await.contains("has changed since it was planned")
        );
        assert!(refused("docs/../secret", "hello").await.contains("names no file below"));
        assert!(refused("docs//etc/passwd", "hello").await.contains("names no file below"));
        assert!(refused("a/b.txt", "hello").await.contains("does not begin with its prefix"));
        assert!(refused("docs/none", "hello").await.contains("cannot be read"));
        std::os::unix::fs::symlink(outer.path().join("secret"), folder.join("link")).unwrap();
        assert!(refused("docs/link", "hello").await.contains("outside of its folder"));
    }
}
