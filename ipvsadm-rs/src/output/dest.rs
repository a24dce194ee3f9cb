//! A dest's row below its service.

use proto::v1::{Dest, FwdMode};

use super::numbers::{Numbers, five, rates, stats};
use super::title::Columns;

/// A dest's row: `  -> 192.168.100.2:80  FullNat 1  0  0`.
pub(super) fn dest_row(name: &str, dest: &Dest, columns: Columns, numbers: Numbers) -> String {
    let (active, inactive) = (dest.active_conns, dest.inactive_conns);
    let rest = match columns {
        Columns::Plain => {
            // DPVS's `inhibited` is for dests that a check of its own has taken out.
            let flags = if dest.overloaded { " overload" } else { "" };
            let drain = match dest.drain_s {
                0 => String::new(),
                secs => format!(" drains within {secs}s"),
            };
            format!("{}{flags}{drain}", plain_columns(dest, dest.weight()))
        }
        Columns::Stats => five(stats(dest.counters), numbers),
        Columns::Rate => five(rates(dest.rates), numbers),
        Columns::Thresholds => {
            format!(
                " {:<10} {:<10} {active:<10} {inactive:<10}",
                dest.upper_threshold, dest.lower_threshold
            )
        }
        Columns::Persistent => format!(
            " {:<9} {:<11} {active:<10} {inactive:<10}",
            dest.weight(),
            dest.persistent_conns
        ),
    };
    format!("{}\n", format!("  -> {name:<28}{rest}").trim_end())
}

/// The row of a removed dest that still has conns.
pub(super) fn draining_row(name: &str, dest: &Dest) -> String {
    let drain = match dest.drain_s {
        0 => String::new(),
        secs => format!(" within {secs}s"),
    };
    let columns = plain_columns(dest, 0);
    format!("  -> {name:<28}{columns} removed, drains{drain}\n")
}

fn plain_columns(dest: &Dest, weight: u32) -> String {
    let (mode, active, inactive) = (
        forward_name(dest.fwd_mode()),
        dest.active_conns,
        dest.inactive_conns,
    );
    format!(" {mode:<7} {weight:<6} {active:<10} {inactive:<10}")
}

/// The name of a forwarding mode.
pub(super) const fn forward_name(mode: FwdMode) -> &'static str {
    match mode {
        FwdMode::Nat => "Masq",
        FwdMode::Local => "Local",
        FwdMode::Tunnel => "Tunnel",
        FwdMode::Dr | FwdMode::Unspecified => "Route",
        FwdMode::FullNat => "FullNat",
        FwdMode::Snat => "SNAT",
    }
}
