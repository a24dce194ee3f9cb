//! Clients that were made by others: gRPC's C core, by way of Python's grpcio from PyPI.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::common::*;

async fn run(program: impl AsRef<Path>, arguments: &[&str]) -> String {
    let program = program.as_ref();
    let output = Command::new(program)
        .args(arguments)
        .output()
        .await
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{program:?} {arguments:?}: {errors}"
    );
    String::from_utf8(output.stdout).unwrap()
}

/// A Python with grpcio, in a virtual environment among what cargo builds. The first use installs
/// it, which needs PyPI.
async fn python() -> PathBuf {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python");
    let python = home.join("bin/python");
    let check = Command::new(&python)
        .args(["-c", "import grpc_tools"])
        .output()
        .await;
    if !check.is_ok_and(|output| output.status.success()) {
        run(
            "python3",
            &["-m", "venv", "--clear", home.to_str().unwrap()],
        )
        .await;
        run(
            &python,
            &["-m", "pip", "install", "--quiet", "grpcio-tools"],
        )
        .await;
    }
    python
}

/// The C core sends the percent-encoded path of the socket as `:authority`.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_the_c_core_needs_no_option_for_the_unix_socket() {
    let director = director().await;
    let crate_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    let script = crate_dir.join("tests/peers/stock_client.py");
    let protos = crate_dir.join("../proto/proto");
    let arguments = [&script, &protos, &director.socket].map(|path| path.to_str().unwrap());
    let printed = run(python().await, &arguments).await;
    assert_eq!(printed, "version 0.1\nrr [7]\n");
    let services = director.services().await;
    assert_eq!(services[0].dests[0].weight, Some(7));
}
