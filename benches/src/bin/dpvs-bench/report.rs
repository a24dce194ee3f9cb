//! The figures, printed one by one or as one JSON object at the end.

use ipvs_core::Tick;
use ipvs_core::conn::ConnTable;
use serde_json::{Map, Value, json};

use benches::director::KEYS;
use benches::measure::{Spread, rounded};

use crate::parts::arrivals::Arrivals;
use crate::parts::churn::Churn;
use crate::parts::many::Many;
use crate::parts::stalls::Stalls;
use crate::parts::syns::{Case, Syns};
use crate::timing::{Comparison, Time};

/// Conns of the tables whose size is reported.
const CONNS: u32 = 1_000_000;
/// A local port takes one bit of its pool.
const PORT_BYTES: f64 = 1.0 / 8.0;

/// What was measured.
#[derive(Debug)]
pub(crate) struct Report {
    is_json: bool,
    object: Map<String, Value>,
}

impl Report {
    /// A report with nothing but the size of conns, which needs no measurement.
    pub(crate) fn new(is_json: bool) -> Self {
        let mut report = Self {
            is_json,
            object: Map::new(),
        };
        let v4 = ConnTable::<[u8; 4]>::new(CONNS, KEYS.conns, Tick(0)).bytes();
        let v6 = ConnTable::<[u8; 16]>::new(CONNS, KEYS.conns, Tick(0)).bytes();
        for (name, bytes) in [("bytes_per_conn_v4", v4), ("bytes_per_conn_v6", v6)] {
            let per_conn = bytes as f64 / f64::from(CONNS) + PORT_BYTES;
            report.add(name, rounded(per_conn, 1));
        }
        report
    }

    fn add(&mut self, name: &str, value: Value) {
        if !self.is_json {
            print_line(&format!("{name}: {value}"));
        }
        self.object.insert(name.to_owned(), value);
    }

    fn add_spread(&mut self, name: &str, spread: Spread, decimals: i32) {
        if !self.is_json {
            let mut shown = Map::new();
            spread.put(&mut shown, name, decimals);
            let numbers = shown.values().map(Value::to_string).collect::<Vec<_>>();
            print_line(&format!(
                "{name}: {} (median, least, most)",
                numbers.join(", ")
            ));
        }
        spread.put(&mut self.object, name, decimals);
    }

    /// The rate of testpmd's macswap.
    pub(crate) fn testpmd(&mut self, flows: u32, rate: Spread) {
        let mut entry = Map::new();
        entry.insert("flows".to_owned(), json!(flows));
        rate.scaled(1e-6).put(&mut entry, "macswap_mpps", 2);
        self.push("testpmd", Value::Object(entry));
    }

    /// The rates of the director and of macswap with so many flows.
    pub(crate) fn rates(&mut self, name: &str, flows: u32, measured: &Comparison) {
        self.push(name, measured.json(flows));
    }

    fn push(&mut self, name: &str, entry: Value) {
        if !self.is_json {
            print_line(&format!("{name}: {entry}"));
        }
        let list = self
            .object
            .entry(name)
            .or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(list) = list {
            list.push(entry);
        }
    }

    /// The rates of a forwarding mode, and its added cost in proportion to that of FullNAT.
    pub(crate) fn mode(
        &mut self,
        name: &str,
        flows: u32,
        measured: &Comparison,
        fullnat: &Comparison,
    ) {
        let mut entry = measured.json(flows);
        if let Value::Object(entry) = &mut entry {
            if let Some(ratio) = measured.added_to(fullnat, Time::OnCpu) {
                ratio.put(entry, "added_to_fullnats", 3);
            }
            if let Some(ratio) = measured.added_to(fullnat, Time::WholeCore)
                && let Some(Value::Object(entry)) = entry.get_mut("whole_core")
            {
                ratio.put(entry, "added_to_fullnats", 3);
            }
        }
        self.push(name, entry);
    }

    /// Few flows and many with frames that are written when they are received. The many are listed
    /// beside the flows from capture files, too.
    pub(crate) fn many(&mut self, (few, many): (u32, u32), measured: &Many) {
        self.rates("many_flows", few, &measured.few);
        self.rates("many_flows", many, &measured.many);
        self.rates("fullnat_udp", many, &measured.many);
        self.rates("few_flows_in_table_of_many", few, &measured.few_among_many);
        for (time, suffix) in [(Time::OnCpu, ""), (Time::WholeCore, "_whole_core")] {
            let few = [
                ("", &measured.few),
                ("_in_one_table", &measured.few_among_many),
            ];
            for (table, few) in few {
                if let Some(ratio) = measured.many.to(few, time) {
                    let name = format!("many_flows_last_to_first{table}{suffix}");
                    self.add_spread(&name, ratio, 3);
                }
            }
        }
    }

    /// The cost of a SYN with few of something and with many.
    pub(crate) fn syns(&mut self, case: &Case, measured: &Syns) {
        self.push("syn", measured.json(case));
    }

    /// First packets. The figure is that of the slower protocol.
    pub(crate) fn new_conns(&mut self, udp: &Arrivals, tcp: &Arrivals) {
        let rates = [udp, tcp].map(|arrivals| arrivals.to_empty_table());
        let slower = rates
            .into_iter()
            .min_by(|one, other| one.median.total_cmp(&other.median));
        self.add_spread("new_conns_per_cpu_s", slower.unwrap_or_default(), 0);
        self.add("new_conns", json!({"udp": udp.json(), "tcp": tcp.json()}));
    }

    /// Whole TCP conns.
    pub(crate) fn open_get_close(&mut self, churn: &Churn) {
        self.add_spread("tcp_open_get_close_per_cpu_s", churn.per_cpu_s(), 0);
        self.add("tcp_open_get_close", churn.json());
    }

    /// The longest turn of a worker's loop.
    pub(crate) fn worst_loop(&mut self, stalls: &Stalls) {
        self.add_spread("worst_loop_us", stalls.worst_us(), 1);
        self.add("worst_loop", stalls.json());
    }

    /// The time from the start of the daemon to its first packet.
    pub(crate) fn start(&mut self, seconds: Spread) {
        self.add_spread("start_to_first_packet_s", seconds, 3);
    }

    /// Prints the object if that was asked for.
    pub(crate) fn finish(self) {
        if self.is_json {
            print_line(&Value::Object(self.object).to_string());
        }
    }
}

#[allow(
    clippy::print_stdout,
    reason = "the figures are what the program is for"
)]
fn print_line(text: &str) {
    println!("{text}");
}
