//! `dpvsd` and what it is started with: refusals before anything runs.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::process::{Command, Output};

use testkit::netns::Folder;

/// A director without a NIC, in need of little memory.
const SMALL: &str = "[[device]]\nname = \"dpdk0\"\nvdev = \"net_null0\"\nkni = false\n\
                     [eal]\nhugepages = false\n[workers]\nidle = \"sleep\"\n";

/// Runs `dpvsd` with this configuration until it ends.
fn dpvsd(more: &str, args: &[&str]) -> Output {
    let folder = Folder::new();
    let config = folder.write("dpvsd.toml", &format!("{SMALL}{more}"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_dpvsd"));
    command.arg("--config").arg(config);
    command.arg("--socket").arg(folder.file("dpvsd.sock"));
    command.args(args).output().unwrap()
}

#[test]
fn sizes_beyond_the_memory_are_refused_by_the_check_and_at_start() {
    for (more, key) in [
        (
            "[conns]\nmax_dests = 4294967295\n",
            "[conns] max_dests = 4294967295",
        ),
        (
            "[conns]\nmax_per_worker = 2147483647\n",
            "[conns] max_per_worker = 2147483647",
        ),
        (
            "[conns]\nmax_ipv6_per_worker = 2147483647\n",
            "[conns] max_ipv6_per_worker =",
        ),
        (
            "[mbufs]\ncount = 4294967295\n",
            "[mbufs] count = 4294967295",
        ),
    ] {
        for args in [&["--check"][..], &[]] {
            let output = dpvsd(more, args);
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "{more}{args:?}: {said}");
            let error = said.lines().find(|line| line.starts_with("dpvsd: error: "));
            assert!(
                error.is_some_and(|line| line.contains(key)),
                "{more}{args:?}: {said}"
            );
            assert!(!said.contains("panicked"), "{said}");
        }
    }
}
