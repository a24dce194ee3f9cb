//! Connects to the daemon by its unix socket.

use tonic::transport::{Channel, Endpoint};

use crate::error::{CliError, root_cause};

/// The path of the daemon's socket if neither `--socket` nor the environment names one.
pub const DEFAULT_SOCKET: &str = "/run/dpvs-rs/dpvsd.sock";
/// The environment variable that names the socket if there is no `--socket`.
pub const SOCKET_VARIABLE: &str = "DPVS_SOCKET";
/// Bytes of the longest answer that is read. tonic's default of 4 MiB is too small for a table of
/// 100,000 routes, and the daemon on this machine can be trusted with more.
pub const MAX_ANSWER_BYTES: usize = 1 << 30;

/// The path of the socket: that of `--socket`, else that of [`SOCKET_VARIABLE`], else
/// [`DEFAULT_SOCKET`].
pub fn socket_path(option: Option<String>) -> String {
    choose_socket(option, std::env::var(SOCKET_VARIABLE).ok())
}

fn choose_socket(option: Option<String>, variable: Option<String>) -> String {
    option
        .or(variable.filter(|path| !path.is_empty()))
        .unwrap_or_else(|| DEFAULT_SOCKET.to_owned())
}

/// Connects to the daemon.
///
/// # Errors
/// If the daemon does not answer. The message says what to do.
pub async fn connect(socket: &str) -> Result<Channel, CliError> {
    let unreachable = |error: tonic::transport::Error| {
        if is_denied(&error) {
            return CliError::failed(format!(
                "no permission to use dpvsd's socket {socket}: try again as root, or as a user \
                 who may write to it"
            ));
        }
        CliError::failed(format!(
            "cannot reach dpvsd at {socket}: {}. Are you sure that dpvsd is running? \
             Start it with `dpvsd --config FILE`, or name its socket with --socket",
            root_cause(&error)
        ))
    };
    // tonic takes everything after `unix://` for the path. Nothing has to be escaped.
    let endpoint = Endpoint::from_shared(format!("unix://{socket}"));
    let endpoint = endpoint.map_err(unreachable)?;
    let connected = endpoint.connect().await;
    connected.map_err(unreachable)
}

/// Whether the socket is there, and this user may not use it.
fn is_denied(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut causes = std::iter::successors(Some(error), |cause| cause.source());
    causes.any(|cause| {
        let error = cause.downcast_ref::<std::io::Error>();
        error.is_some_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_comes_before_the_environment_before_the_default() {
        let named = |name: &str| Some(name.to_owned());
        assert_eq!(choose_socket(named("/a"), named("/b")), "/a");
        assert_eq!(choose_socket(None, named("/b")), "/b");
        assert_eq!(choose_socket(None, named("")), DEFAULT_SOCKET);
        assert_eq!(choose_socket(None, None), DEFAULT_SOCKET);
    }

    #[test]
    fn a_socket_of_somebody_else_is_told_from_one_that_is_missing() {
        let wrapped = |kind: std::io::ErrorKind| {
            tonic::Status::from_error(Box::new(std::io::Error::from(kind)))
        };
        assert!(is_denied(&wrapped(std::io::ErrorKind::PermissionDenied)));
        assert!(!is_denied(&wrapped(std::io::ErrorKind::NotFound)));
    }

    #[tokio::test]
    async fn without_a_daemon_there_is_a_way_out() {
        let error = connect("/nonexistent/dpvsd.sock").await.unwrap_err();
        assert_eq!(error.status, 1);
        for part in [
            "cannot reach dpvsd at /nonexistent/dpvsd.sock: No such file",
            "dpvsd --config FILE",
            "--socket",
        ] {
            assert!(error.text.contains(part), "{error}");
        }
    }
}
