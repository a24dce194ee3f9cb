//! The control socket's place in the file system.

use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::Mode;

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Somebody answers on it
    #[error("another dpvsd answers on {0}: stop it, or give this one its own --socket")]
    InUse(PathBuf),
    /// The file system says no
    #[error("cannot make the control socket {path}: {why}")]
    Refused {
        /// Where
        path: PathBuf,
        /// Why
        why: io::Error,
    },
}

/// A listening socket of root's alone. What a daemon that died left in its place is removed.
///
/// # Errors
/// If another daemon has it, or the folder cannot be written.
pub fn listen(path: &Path) -> Result<UnixListener, SocketError> {
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
    // From the first moment on nobody else may connect.
    let before = rustix::process::umask(Mode::from_raw_mode(0o177));
    let listener = UnixListener::bind(path);
    rustix::process::umask(before);
    let listener = listener.map_err(refused)?;
    listener.set_nonblocking(true).map_err(refused)?;
    Ok(listener)
}
