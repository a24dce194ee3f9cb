//! The control socket's place in the file system.

use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::Mode;

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
pub(super) enum SocketError {
    /// Another daemon answers on it.
    #[error("another dpvsd answers on {0}: stop it, or give this one its own --socket")]
    InUse(PathBuf),
    /// The file system refused.
    #[error("cannot make the control socket {path}: {why}. Set [daemon] socket, or use --socket")]
    Refused {
        /// The socket.
        path: PathBuf,
        /// The reason of the system.
        why: io::Error,
    },
}

/// A listening socket that only root can connect to. A socket that a dead daemon left there is
/// removed.
///
/// # Errors
/// If another daemon has it, or the folder cannot be written.
pub(super) fn listen(path: &Path) -> Result<UnixListener, SocketError> {
    let refused = |why| SocketError::Refused {
        path: path.to_owned(),
        why,
    };
    if UnixStream::connect(path).is_ok() {
        return Err(SocketError::InUse(path.to_owned()));
    }
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        std::fs::create_dir_all(folder).map_err(refused)?;
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(refused(error)),
        _ => {}
    }
    // The mask makes the socket private from the moment it exists.
    let before = rustix::process::umask(Mode::from_raw_mode(0o177));
    let listener = UnixListener::bind(path);
    rustix::process::umask(before);
    let listener = listener.map_err(refused)?;
    listener.set_nonblocking(true).map_err(refused)?;
    Ok(listener)
}
