//! The cost of a director beside that of macswap, run by run.

use serde_json::{Map, Value, json};

use benches::measure::{Spread, rounded};

use super::stopwatch::{Cost, Time};
use super::whole_core::by_both_times;

/// The cost of a packet by macswap and by a director, of each run.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    runs: Vec<Run>,
}

#[derive(Debug, Clone, Copy)]
struct Run {
    macswap: Cost,
    director: Cost,
}

/// Nanoseconds of a packet in one run.
#[derive(Debug, Clone, Copy)]
struct Pair {
    macswap: f64,
    director: f64,
}

impl Pair {
    fn added(self) -> f64 {
        self.director - self.macswap
    }
}

impl Comparison {
    /// Adds what was measured in a run.
    pub(crate) fn add_run(&mut self, macswap: Cost, director: Cost) {
        self.runs.push(Run { macswap, director });
    }

    /// The rate of this director divided by the other's, run by run. `None` if no run had enough of
    /// this time.
    pub(crate) fn to(&self, other: &Self, time: Time) -> Option<Spread> {
        let pairs = self.with(other, time);
        Spread::of_some(pairs.map(|(this, other)| other.director / this.director))
    }

    /// What this director costs beyond macswap, divided by what the other does, run by run. `None`
    /// if no run had enough of this time.
    pub(crate) fn added_to(&self, other: &Self, time: Time) -> Option<Spread> {
        let pairs = self.with(other, time);
        Spread::of_some(pairs.map(|(this, other)| this.added() / other.added()))
    }

    /// The runs of both that had enough of this time.
    fn with(&self, other: &Self, time: Time) -> impl Iterator<Item = (Pair, Pair)> {
        let runs = self.runs.iter().zip(&other.runs);
        runs.filter_map(move |(this, other)| Some((this.pair(time)?, other.pair(time)?)))
    }

    /// The entry of the report.
    pub(crate) fn json(&self, flows: u32) -> Value {
        let mut object = Map::new();
        object.insert("flows".to_owned(), json!(flows));
        let costs = self.runs.iter().map(|run| &run.director);
        by_both_times(&mut object, costs, |time, object| self.put(time, object));
        Value::Object(object)
    }

    fn put(&self, time: Time, object: &mut Map<String, Value>) {
        let pairs: Vec<Pair> = self.runs.iter().filter_map(|run| run.pair(time)).collect();
        if pairs.is_empty() {
            return;
        }
        let mpps = |ns: f64| 1e3 / ns;
        let macswap = Spread::of(pairs.iter().map(|pair| mpps(pair.macswap)));
        let director = Spread::of(pairs.iter().map(|pair| mpps(pair.director)));
        macswap.put(object, "macswap_mpps", 2);
        director.put(object, "dpvsd_mpps", 2);
        Spread::of(pairs.iter().map(|pair| pair.added())).put(object, "added_ns", 1);
        object.insert(
            "ratio".to_owned(),
            rounded(director.median / macswap.median, 3),
        );
    }
}

impl Run {
    fn pair(&self, time: Time) -> Option<Pair> {
        Some(Pair {
            macswap: self.macswap.ns(time)?,
            director: self.director.ns(time)?,
        })
    }
}
