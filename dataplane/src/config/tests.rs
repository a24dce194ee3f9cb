use std::path::Path;

use dpdk::LcoreId;
use ipvs_core::{OnUnserved, ReturnPath, Timeouts};

use super::settings::DEFAULT_SOCKET;
use super::{Config, Idle};

const SMALLEST: &str = "[[device]]\nname = \"dpdk0\"\nvdev = \"net_af_packet0,iface=veth0\"\n";

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(Path::new("dpvs.toml"), text, 2).map_err(|error| error.to_string())
}

fn error_of(text: &str) -> String {
    parse(text).expect_err("the file is wrong")
}

#[test]
fn one_device_is_enough_and_the_rest_has_defaults() {
    let config = parse(SMALLEST).unwrap();
    assert_eq!(config.socket, Path::new(DEFAULT_SOCKET));
    assert_eq!(config.workers.len(), 1);
    assert_eq!(config.workers[0].lcore, LcoreId(1));
    assert_eq!(config.queues_of(0), 1);
    assert_eq!(config.devices[0].kni.as_deref(), Some("dpdk0.kni"));
    assert_eq!(config.timeouts, Timeouts::default());
    assert!(
        matches!(config.idle, Idle::Sleep { .. }),
        "two CPUs are too few to poll on one"
    );
    assert_eq!(config.devices[0].address.kernel_interface(), Some("veth0"));
}

#[test]
fn answers_go_by_the_route_else_to_the_mac_address_unless_the_file_says_one() {
    let path = |text: &str| {
        let config = parse(&format!("{SMALLEST}{text}")).unwrap();
        config.return_path
    };
    assert_eq!(path(""), ReturnPath::RouteOrMac);
    let cases = [("route", ReturnPath::Route), ("mac", ReturnPath::Mac)];
    for (word, expected) in cases {
        assert_eq!(
            path(&format!("[conns]\nreturn_path = \"{word}\"\n")),
            expected
        );
    }
    let error = error_of(&format!("{SMALLEST}[conns]\nreturn_path = \"arp\"\n"));
    assert!(error.contains("arp") && error.contains("mac"), "{error}");
}

#[test]
fn whom_nobody_serves_is_told_unless_the_file_says_drop() {
    let unserved = |text: &str| {
        let config = parse(&format!("{SMALLEST}{text}")).unwrap();
        config.defence.unserved
    };
    assert_eq!(unserved(""), OnUnserved::Reject);
    assert_eq!(
        unserved("[defence]\nunserved = \"drop\"\n"),
        OnUnserved::Drop
    );
    let error = error_of(&format!("{SMALLEST}[defence]\nunserved = \"deny\"\n"));
    assert!(
        error.contains("deny") && error.contains("reject"),
        "{error}"
    );
}

#[test]
fn an_unknown_key_is_reported_with_its_line_and_the_nearest_valid_key() {
    let error = error_of(&format!("{SMALLEST}promiscous = true\n"));
    assert!(
        error.starts_with("dpvs.toml:4: unknown key 'promiscous': did you mean 'promiscuous'?"),
        "{error}"
    );
    let error = error_of(&format!("{SMALLEST}[conn]\n"));
    assert!(
        error.contains("unknown key 'conn': did you mean 'conns'?"),
        "{error}"
    );
    let error = error_of(&format!(
        "{SMALLEST}[timeouts]\ntcp_established = 90\ntcp_fin_wit = 3\n"
    ));
    assert!(
        error.contains("dpvs.toml:6:") && error.contains("'tcp_fin_wait'"),
        "{error}"
    );
}

#[test]
fn an_incomplete_file_is_refused_with_the_line_or_section() {
    assert!(error_of("[[device]]\nname = \"dpdk0\n").starts_with("dpvs.toml:2:"));
    assert!(
        error_of("[[device]]\nname = \"dpdk0\"\n").contains("[[device]] dpdk0: say where it is")
    );
    assert!(error_of("").contains("no [[device]]"));
    assert!(error_of(&format!("{SMALLEST}mtu = \"big\"\n")).starts_with("dpvs.toml:4:"));
}

/// Each of these lines behind the smallest configuration makes it wrong, with these words.
fn refuses(cases: &[(&str, &str)]) {
    for (more, expected) in cases {
        let error = error_of(&format!("{SMALLEST}{more}"));
        assert!(error.contains(expected), "{more}: {error}");
    }
}

#[test]
fn devices_out_of_range_and_contradictions_are_refused() {
    refuses(&[
        (SMALLEST, "[[device]] dpdk0 is there twice"),
        ("mtu = 20\n", "mtu 20 is out of range"),
        ("pci = \"0000:06:00.0\"\n", "both pci and vdev"),
        (
            "mac = \"02:00:00:00:00\"\n",
            "invalid MAC address '02:00:00:00:00': expected a unicast address",
        ),
        (
            "mac = \"01:00:5e:00:00:01\"\n",
            "invalid MAC address '01:00:5e:00:00:01'",
        ),
        (
            "kni_name = \"a-name-of-16-byte\"\n",
            "kni_name 'a-name-of-16-byte' is too long: set one of at most 15 bytes",
        ),
    ]);
}

#[test]
fn workers_that_cannot_be_are_refused() {
    refuses(&[
        ("[workers]\ncount = 0\n", "at least 1"),
        ("[[worker]]\nlcore = 0\n", "lcore 0 is the main lcore"),
        (
            "[[worker]]\nlcore = 1\n[[worker]]\nlcore = 1\n",
            "lcore 1 is another worker's",
        ),
        (
            "[[worker]]\nlcore = 1\nqueues = { dpdk7 = [0] }\n",
            "no device dpdk7: the devices are dpdk0",
        ),
        (
            "[[worker]]\nlcore = 1\nqueues = { dpdk0 = [1] }\n",
            "must be numbered 0 to 0",
        ),
        (
            "[conns]\nmax_per_worker = 2147483648\n",
            "[conns] max_per_worker = 2147483648 is out of range: expected 1 to 2147483647",
        ),
        ("[workers]\ncount = 128\n", "lcore 128 is out of range"),
        ("[workers]\ncount = 65535\n", "lcore 65535 is out of range"),
        (
            "[eal]\nmain_lcore = 4294967295\n",
            "lcore 4294967296 is out of range",
        ),
        (
            "[[worker]]\nlcore = 500\ncpu = 1\n",
            "lcore 500 is out of range: DPDK's lcores are 0 to 127, whatever cpu",
        ),
        (
            "[workers]\nidle_sleep_us = 1001\n",
            "[workers] idle_sleep_us = 1001 is out of range: expected 0 to 1000",
        ),
    ]);
    parse(&format!("{SMALLEST}[workers]\nidle_sleep_us = 1000\n")).unwrap();
}

#[test]
fn numbers_out_of_range_are_refused() {
    refuses(&[
        (
            "[timeouts]\nudp = 0\n",
            "[timeouts] udp = 0 is out of range",
        ),
        (
            "[timeouts]\ntcp_synack = 30\n",
            "[timeouts] tcp_synack has no effect",
        ),
        (
            "[conns]\nmax_dests = 0\n",
            "[conns] max_dests = 0 is out of range: expected 1 to 4294967295",
        ),
        (
            "[mbufs]\ncount = 384\n",
            "[mbufs] count = 384 is too small: expected at least 385",
        ),
        (
            "rx_desc = 4096\n[mbufs]\ncount = 4096\n",
            "[mbufs] count = 4096 is too small: expected at least 4481",
        ),
        ("[nat64]\nprefix = \"64:ff9b::\"\n", "\"64:ff9b::/96\""),
        (
            "[nat64]\nprefix = \"64:ff9b::/80\"\n",
            "32, 40, 48, 56, 64 or 96 bits",
        ),
    ]);
}

#[test]
fn workers_may_share_a_cpu() {
    let config = parse(&format!(
        "{SMALLEST}[[worker]]\nlcore = 1\ncpu = 1\n\
         [[worker]]\nlcore = 2\ncpu = 1\nqueues = {{ dpdk0 = [1] }}\n"
    ))
    .unwrap();
    assert_eq!(
        config
            .workers
            .iter()
            .map(|worker| worker.cpu)
            .collect::<Vec<_>>(),
        [1, 1]
    );
    assert_eq!(config.queues_of(0), 2);
}

#[test]
fn the_samples_in_conf_are_valid() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../conf");
    let mut seen = 0;
    for entry in std::fs::read_dir(samples).unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            Config::load(&path, 8).unwrap_or_else(|error| panic!("{error}"));
            seen += 1;
        }
    }
    assert!(seen >= 3);
}
