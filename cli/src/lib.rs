//! What `dpip` and `ipvsadm-rs` share: connecting to the daemon, exit statuses, output.
#![forbid(unsafe_code)]

use std::fmt;
use std::io::Write;
use std::net::IpAddr;
use std::process::ExitCode;

use hyper_util::rt::TokioIo;
use proto::v1;
use tonic::transport::{Channel, Endpoint, Uri};

/// Where the daemon's socket is if nobody says otherwise.
pub const DEFAULT_SOCKET: &str = "/run/dpvs-rs/dpvsd.sock";
/// Names the socket when no `--socket` does.
pub const SOCKET_VARIABLE: &str = "DPVS_SOCKET";

/// A sentence for the user and the exit status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CliError {
    /// What is wrong and the way out
    pub text: String,
    /// 1: refused or failed. 2: not understood, or not supported yet
    pub status: u8,
}

impl CliError {
    /// Refused or failed.
    pub fn failed(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            status: 1,
        }
    }

    /// Not understood.
    pub fn usage(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            status: 2,
        }
    }

    /// Understood, and for a later release.
    pub fn unsupported(what: &str) -> Self {
        Self::usage(format!("{what} is not supported yet"))
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for CliError {}

impl From<tonic::Status> for CliError {
    fn from(status: tonic::Status) -> Self {
        let code = if status.code() == tonic::Code::Unimplemented {
            2
        } else {
            1
        };
        Self {
            text: status.message().to_owned(),
            status: code,
        }
    }
}

/// The socket that an option, else the environment, else the default names.
pub fn socket_path(option: Option<String>) -> String {
    option
        .or_else(|| std::env::var(SOCKET_VARIABLE).ok())
        .unwrap_or_else(|| DEFAULT_SOCKET.to_owned())
}

/// Connects to the daemon.
///
/// # Errors
/// With what to do if it does not answer.
pub async fn connect(socket: &str) -> Result<Channel, CliError> {
    let path = socket.to_owned();
    let connector = tower::service_fn(move |_: Uri| {
        let path = path.clone();
        async move {
            tokio::net::UnixStream::connect(path)
                .await
                .map(TokioIo::new)
        }
    });
    // The address is a formality: the connector knows the way.
    Endpoint::from_static("http://dpvsd").connect_with_connector(connector).await.map_err(|error| {
        let mut cause: &dyn std::error::Error = &error;
        while let Some(next) = cause.source() {
            cause = next;
        }
        CliError::failed(format!(
            "cannot reach dpvsd at {socket}: {cause}. Are you sure that dpvsd is running? Start it with `dpvsd --config FILE`, or name its socket with --socket"
        ))
    })
}

/// Prints to standard output. A reader that has gone away (`| head`) is no error.
///
/// # Errors
/// If the output cannot be written for another reason.
pub fn print(text: &str) -> Result<(), CliError> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(CliError::failed(
            format!("cannot write to standard output: {error}"),
        )),
        _ => Ok(()),
    }
}

/// Prints a value as indented JSON.
///
/// # Errors
/// If the output cannot be written.
pub fn print_json(value: &serde_json::Value) -> Result<(), CliError> {
    print(&format!("{value:#}\n"))
}

/// Runs a program's main function on a runtime of its own and turns its result into an exit status.
pub fn run(program: &str, main: impl Future<Output = Result<(), CliError>>) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("{program}: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(main) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{program}: {error}");
            ExitCode::from(error.status)
        }
    }
}

/// An address as the API carries it.
pub fn ip_message(addr: IpAddr) -> v1::IpAddress {
    let bytes = match addr {
        IpAddr::V4(addr) => addr.octets().to_vec(),
        IpAddr::V6(addr) => addr.octets().to_vec(),
    };
    v1::IpAddress { bytes }
}

/// An address that the API carried.
pub fn ip(message: Option<&v1::IpAddress>) -> Option<IpAddr> {
    let bytes = message?.bytes.as_slice();
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
        .ok()
}

/// An address that the API carried, or 0.0.0.0 where there is none.
pub fn ip_or_zero(message: Option<&v1::IpAddress>) -> IpAddr {
    ip(message).unwrap_or(IpAddr::from([0, 0, 0, 0]))
}

/// A MAC address with colons.
pub fn mac(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect::<Vec<_>>()
        .join(":")
}

/// The name among `valid` that is most like `word`, for "did you mean".
pub fn nearest<'a>(word: &str, valid: &[&'a str]) -> Option<&'a str> {
    let common = |name: &str| name.chars().filter(|c| word.contains(*c)).count() * 2;
    valid
        .iter()
        .copied()
        .filter(|name| {
            name.starts_with(&word[..word.chars().next().map_or(0, char::len_utf8)])
                || common(name) > name.len()
        })
        .max_by_key(|name| (common(name), usize::MAX - name.len().abs_diff(word.len())))
}
