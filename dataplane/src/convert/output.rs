//! The TOML that is written.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use super::tree::Item;

/// The sections in the order in which they are written, those of devices and workers aside.
const ORDER: &[&str] = &[
    "daemon",
    "eal",
    "conns",
    "mbufs",
    "neighbours",
    "defence",
    "timeouts",
];

/// The TOML as it grows.
pub(super) struct Output {
    source: String,
    sections: BTreeMap<&'static str, BTreeMap<&'static str, String>>,
    /// Whole sections `[[device]]` and `[[worker]]`.
    blocks: Vec<String>,
    notes: Vec<(usize, String)>,
    /// How many workers there are.
    pub(super) workers: usize,
}

impl Output {
    /// Nothing yet, of this file.
    pub(super) fn new(path: &Path) -> Self {
        Self {
            source: one_line(&path.display().to_string()),
            sections: BTreeMap::new(),
            blocks: Vec::new(),
            notes: Vec::new(),
            workers: 1,
        }
    }

    /// Sets a key. A later value replaces an earlier one, as in DPVS.
    pub(super) fn set(&mut self, section: &'static str, key: &'static str, value: String) {
        self.sections.entry(section).or_default().insert(key, value);
    }

    /// Takes a key out again.
    pub(super) fn leave_out(&mut self, section: &'static str, key: &'static str, why: &str) {
        if let Some(keys) = self.sections.get_mut(section) {
            keys.remove(key);
        }
        self.notes
            .push((usize::MAX, one_line(&format!("left out: {why}"))));
    }

    /// Adds a section `[[device]]` or `[[worker]]`.
    pub(super) fn add_block(&mut self, text: String) {
        self.blocks.push(text);
    }

    /// Notes an item that has no counterpart, or not quite.
    pub(super) fn note(&mut self, item: &Item, path: &str, why: &str) {
        let words = item.words.join(" ");
        let text = format!("line {}, {path}{words}: {why}", item.line);
        self.notes.push((item.line, one_line(&text)));
    }

    /// A number of an item, brought into the range that is allowed here.
    pub(super) fn number(
        &mut self,
        item: &Item,
        path: &str,
        (least, most): (u32, u32),
    ) -> Option<u32> {
        let word = item.values().first().map_or("", String::as_str);
        let Ok(number) = word.parse::<u64>() else {
            self.note(item, path, "not a number: the default is used");
            return None;
        };
        let clamped = number.clamp(least.into(), most.into());
        if clamped != number {
            self.note(
                item,
                path,
                &format!("out of range here ({least} to {most}): {clamped} is used"),
            );
        }
        u32::try_from(clamped).ok()
    }

    /// The whole file.
    pub(super) fn text(&self) -> String {
        let mut text = format!("# What {} means, by `dpvsd convert`.\n", self.source);
        for section in ORDER {
            let Some(keys) = self.sections.get(section) else {
                continue;
            };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "\n[{section}]");
            for (key, value) in keys {
                let _ = writeln!(text, "{key} = {value}");
            }
        }
        for block in &self.blocks {
            text.push('\n');
            text.push_str(block);
        }
        if !self.notes.is_empty() {
            text.push_str("\n# Without a counterpart, or with another value:\n");
        }
        let mut notes: Vec<_> = self.notes.iter().collect();
        notes.sort_by_key(|(line, _)| *line);
        for (_, note) in notes {
            let _ = writeln!(text, "# {note}");
        }
        text
    }
}

/// A word as a string of TOML.
pub(super) fn quoted(word: &str) -> String {
    toml::Value::String(word.to_owned()).to_string()
}

/// A comment ends with its line, and TOML allows no control characters in it.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}
