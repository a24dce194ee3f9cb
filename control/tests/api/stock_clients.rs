//! Clients that were made by others: gRPC's C core, by way of Python's grpcio from PyPI.

use std::path::{Path, PathBuf};

use tokio::process::Command;
use tokio::sync::OnceCell;

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
    static READY: OnceCell<PathBuf> = OnceCell::const_new();
    READY.get_or_init(install).await.clone()
}

async fn install() -> PathBuf {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python");
    let python = home.join("bin/python");
    let modules = "import grpc_tools, grpc_health, grpc_reflection";
    let check = Command::new(&python).args(["-c", modules]).output().await;
    if !check.is_ok_and(|output| output.status.success()) {
        let new = ["-m", "venv", "--clear", home.to_str().unwrap()];
        run("python3", &new).await;
        let packages = [
            "grpcio-tools",
            "grpcio-health-checking",
            "grpcio-reflection",
        ];
        let install = [&["-m", "pip", "install", "--quiet"][..], &packages].concat();
        run(&python, &install).await;
    }
    python
}

fn in_crate(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The C core sends the percent-encoded path of the socket as `:authority`.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_the_c_core_needs_no_option_for_the_unix_socket() {
    let director = director().await;
    let script = in_crate("tests/peers/stock_client.py");
    let protos = in_crate("../proto/proto");
    let arguments = [&script, &protos, &director.socket].map(|path| path.to_str().unwrap());
    let printed = run(python().await, &arguments).await;
    assert_eq!(printed, "version 0.1\nrr [7]\n");
    let services = director.services().await;
    assert_eq!(services[0].dests[0].weight, Some(7));
}

/// Server reflection and `grpc.health.v1.Health`, both in their standard form.
#[tokio::test(flavor = "multi_thread")]
async fn the_server_tells_a_stock_client_what_it_serves() {
    let director = director().await;
    let script = in_crate("tests/peers/reflect.py");
    let arguments = [&script, &director.socket].map(|path| path.to_str().unwrap());
    let printed = run(python().await, &arguments).await;
    let lines: Vec<_> = printed.lines().collect();
    assert_eq!(lines[..2], ["SERVING", "SERVING"], "{printed}");
    for service in ["Address", "Ipvs", "Link", "Memory", "Neighbour", "Route"] {
        let name = format!("dpvs.v1.{service}Service");
        assert!(lines[2].contains(&name), "{printed}");
    }
    assert!(lines[2].contains("grpc.health.v1.Health"), "{printed}");
    assert_eq!(lines[3], "version 0.1");
}

/// The controller of docs/api.md, as it is written there. Nothing listens on the dest.
#[tokio::test(flavor = "multi_thread")]
async fn the_controller_in_the_documentation_works() {
    let director = director().await;
    let mut ipvs = director.ipvs().await;
    ipvs.add_service(service(VIP, 80, "rr")).await.unwrap();
    // TEST-NET-1: RFC 5737.
    ipvs.add_dest(dest(VIP, 80, "192.0.2.1", 80)).await.unwrap();
    let page = std::fs::read_to_string(in_crate("../docs/api.md")).unwrap();
    let (_, rest) = page.split_once("```python\n").unwrap();
    let (code, _) = rest.split_once("```").unwrap();
    assert_eq!(code.lines().count(), 10);
    let protos = in_crate("../proto/proto");
    let code = code
        .replace("proto/proto", protos.to_str().unwrap())
        .replace("/run/dpvs-rs/dpvsd.sock", director.socket.to_str().unwrap());
    run(python().await, &["-c", &code]).await;
    let services = director.services().await;
    assert_eq!(services[0].dests[0].weight, Some(0));
}
