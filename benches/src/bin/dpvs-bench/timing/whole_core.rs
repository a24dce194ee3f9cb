//! Figures of all CPU time, and beside them those of the CPU time with a whole core.

use serde_json::{Map, Value};

use benches::measure::Spread;

use super::stopwatch::{Cost, Time};

/// Puts the figures of all CPU time into an object, and as `whole_core` those of the CPU time with
/// a whole core, with its share.
pub(crate) fn by_both_times<'a>(
    object: &mut Map<String, Value>,
    costs: impl IntoIterator<Item = &'a Cost>,
    put: impl Fn(Time, &mut Map<String, Value>),
) {
    put(Time::OnCpu, object);
    let mut whole_core = Map::new();
    let shares = costs.into_iter().map(|cost| cost.whole_core_share);
    Spread::of(shares).put(&mut whole_core, "share", 3);
    put(Time::WholeCore, &mut whole_core);
    object.insert("whole_core".to_owned(), Value::Object(whole_core));
}
