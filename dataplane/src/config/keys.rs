//! Which keys differ between two states of the file.

use std::collections::BTreeMap;
use std::fmt;

use toml::{Table, Value};

/// Sections whose keys can change while the daemon runs.
const LIVE_SECTIONS: &[&str] = &["defence", "nat64", "neighbours", "timeouts"];
/// The other keys that can.
const LIVE_KEYS: &[&str] = &["[conns] return_path", "[daemon] log"];

/// All keys of a file with their values, under the names that messages have for them:
/// `[timeouts] udp`, `[[device]] dpdk0 mtu`, `[[worker]] lcore 1 cpu`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Keys(BTreeMap<String, Value>);

/// A key whose value differs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ChangedKey {
    /// Its name, e.g. `[timeouts] udp`.
    pub(crate) name: String,
    before: Option<Value>,
    after: Option<Value>,
}

impl Keys {
    /// The keys of a file, which has been found valid.
    pub(super) fn of(file: &Table) -> Self {
        let mut keys = BTreeMap::new();
        for (section, value) in file {
            match value {
                Value::Table(table) => flatten(&mut keys, &format!("[{section}]"), table),
                Value::Array(entries) => {
                    for entry in entries.iter().filter_map(Value::as_table) {
                        flatten(&mut keys, &title(section, entry), entry);
                    }
                }
                _ => {}
            }
        }
        Self(keys)
    }

    /// The keys whose values differ in `after`.
    pub(crate) fn changes(&self, after: &Self) -> Vec<ChangedKey> {
        let mut names: Vec<&String> = self.0.keys().chain(after.0.keys()).collect();
        names.sort();
        names.dedup();
        let changed = names.into_iter().filter_map(|name| {
            let (before, after) = (self.0.get(name), after.0.get(name));
            (before != after).then(|| ChangedKey {
                name: name.clone(),
                before: before.cloned(),
                after: after.cloned(),
            })
        });
        changed.collect()
    }
}

fn flatten(keys: &mut BTreeMap<String, Value>, title: &str, table: &Table) {
    for (key, value) in table {
        keys.insert(format!("{title} {key}"), value.clone());
    }
}

/// A device is named by its name, a worker by its lcore.
fn title(section: &str, entry: &Table) -> String {
    match (entry.get("name"), entry.get("lcore")) {
        (Some(Value::String(name)), _) => format!("[[{section}]] {name}"),
        (_, Some(lcore)) => format!("[[{section}]] lcore {lcore}"),
        _ => format!("[[{section}]]"),
    }
}

impl ChangedKey {
    /// Whether the key can change while the daemon runs.
    pub(crate) fn is_live(&self) -> bool {
        let section = self
            .name
            .strip_prefix('[')
            .and_then(|name| name.split(']').next());
        LIVE_KEYS.contains(&self.name.as_str())
            || section.is_some_and(|section| LIVE_SECTIONS.contains(&section))
    }
}

impl fmt::Display for ChangedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |value: &Option<Value>| match value {
            Some(value) => value.to_string(),
            None => "the default".to_owned(),
        };
        let (before, after) = (shown(&self.before), shown(&self.after));
        write!(f, "{}: {before} -> {after}", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> Keys {
        Keys::of(&text.parse().unwrap())
    }

    #[test]
    fn changed_keys_are_named_with_their_section_and_values() {
        let before = keys(
            "[daemon]\nlog = \"info\"\n[timeouts]\nudp = 300\n\
             [[device]]\nname = \"dpdk0\"\nmtu = 1500\n[[worker]]\nlcore = 1\n",
        );
        let after = keys(
            "[daemon]\nlog = \"debug\"\n[defence]\ntcp_drop = true\n\
             [[device]]\nname = \"dpdk0\"\nmtu = 9000\n[[worker]]\nlcore = 1\ncpu = 3\n",
        );
        let changes = before.changes(&after);
        let shown: Vec<_> = changes.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "[[device]] dpdk0 mtu: 1500 -> 9000",
                "[[worker]] lcore 1 cpu: the default -> 3",
                "[daemon] log: \"info\" -> \"debug\"",
                "[defence] tcp_drop: the default -> true",
                "[timeouts] udp: 300 -> the default",
            ]
        );
        let live: Vec<_> = changes.iter().map(ChangedKey::is_live).collect();
        assert_eq!(live, [false, false, true, true, true]);
        assert_eq!(before.changes(&before), []);
    }
}
