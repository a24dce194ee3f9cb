//! The title above a list of services.

/// Which columns a list has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Columns {
    /// Scheduler, forwarding mode, weight and conns.
    Plain,
    /// Counters.
    Stats,
    /// Counters per second.
    Rate,
    /// Upper and lower thresholds.
    Thresholds,
    /// Persistent conns.
    Persistent,
}

/// The two lines above a list.
pub(crate) fn title(columns: Columns) -> String {
    let head = "Prot LocalAddress:Port";
    let server = "  -> RemoteAddress:Port";
    let of_five = |names: [&str; 5]| {
        format!(
            "{head:<33}{}\n{server}\n",
            names
                .iter()
                .map(|name| format!(" {name:>8}"))
                .collect::<String>()
        )
    };
    match columns {
        Columns::Plain => format!(
            "{head} Scheduler Flags\n{server}           Forward Weight ActiveConn InActConn\n"
        ),
        Columns::Stats => of_five(["Conns", "InPkts", "OutPkts", "InBytes", "OutBytes"]),
        Columns::Rate => of_five(["CPS", "InPPS", "OutPPS", "InBPS", "OutBPS"]),
        Columns::Thresholds => {
            format!(
                "{head:<33} {:<10} {:<10} {:<10} {}\n{server}\n",
                "Uthreshold", "Lthreshold", "ActiveConn", "InActConn"
            )
        }
        Columns::Persistent => {
            format!(
                "{head:<33} {:<9} {:<11} {:<10} {}\n{server}\n",
                "Weight", "PersistConn", "ActiveConn", "InActConn"
            )
        }
    }
}
