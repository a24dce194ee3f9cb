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

/// A listening socket that only root can connect to. Its file goes with the value, however a run
/// ends.
#[derive(Debug)]
pub(super) struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl ControlSocket {
    /// Listens. A socket that a dead daemon left there is removed.
    ///
    /// # Errors
    /// If another daemon has it, or the folder cannot be written.
    pub(super) fn listen(path: &Path) -> Result<Self, SocketError> {
        if UnixStream::connect(path).is_ok() {
            return Err(SocketError::InUse(path.to_owned()));
        }
        let listener = bind(path).map_err(|why| SocketError::Refused {
            path: path.to_owned(),
            why,
        })?;
        let path = path.to_owned();
        Ok(Self { listener, path })
    }

    /// What accepts connections.
    ///
    /// # Errors
    /// If the process has no file descriptor left.
    pub(super) fn listener(&self) -> io::Result<UnixListener> {
        self.listener.try_clone()
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        // If somebody has removed it already, there is nothing to do.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn bind(path: &Path) -> io::Result<UnixListener> {
    let folder = path.parent().filter(|at| !at.as_os_str().is_empty());
    folder.map(std::fs::create_dir_all).transpose()?;
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // The mask makes the socket private from the moment it exists.
    let before = rustix::process::umask(Mode::from_raw_mode(0o177));
    let listener = UnixListener::bind(path);
    rustix::process::umask(before);
    let listener = listener?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}
