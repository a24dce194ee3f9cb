//! How time is measured, and how several measurements are reported.

use rustix::time::{ClockId, clock_gettime};
use serde_json::{Map, Value, json};

/// The CPU time of this thread in nanoseconds. Other programs on the machine do not count. It is
/// the first number of `/proc/thread-self/schedstat`, but exact and not as of the last tick.
#[inline]
pub fn thread_cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

/// The median of some measurements, their minimum and their maximum.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Spread {
    /// The median
    pub median: f64,
    /// The minimum
    pub min: f64,
    /// The maximum
    pub max: f64,
}

impl Spread {
    /// The spread of any number of measurements. All fields are 0 if there is none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or(0.0);
        Self {
            median: at(values.len() / 2),
            min: at(0),
            max: at(values.len().saturating_sub(1)),
        }
    }

    /// The spread of some measurements. `None` if there is none.
    pub fn of_some(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values = values.into_iter().peekable();
        values.peek()?;
        Some(Self::of(values))
    }

    /// All three values multiplied by a factor.
    pub fn scaled(self, factor: f64) -> Self {
        Self {
            median: self.median * factor,
            min: self.min * factor,
            max: self.max * factor,
        }
    }

    /// Puts the median as `name` and the others as `name_min` and `name_max`, with so many
    /// decimals.
    pub fn put(self, object: &mut Map<String, Value>, name: &str, decimals: i32) {
        let values = [("", self.median), ("_min", self.min), ("_max", self.max)];
        for (suffix, value) in values {
            object.insert(format!("{name}{suffix}"), rounded(value, decimals));
        }
    }
}

/// A number with so many decimals. With 0 decimals it is an integer.
pub fn rounded(value: f64, decimals: i32) -> Value {
    let factor = 10f64.powi(decimals);
    let value = (value * factor).round() / factor;
    if decimals == 0 {
        json!(value as i64)
    } else {
        json!(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_one_counts_and_the_outer_ones_stand_beside_it() {
        let mut object = Map::new();
        Spread::of([3.0, 1.0, 2.0, 10.0, 2.5]).put(&mut object, "ns", 1);
        assert_eq!(
            Value::Object(object),
            json!({"ns": 2.5, "ns_min": 1.0, "ns_max": 10.0})
        );
        assert_eq!(rounded(1234.6, 0), json!(1235));
    }

    #[test]
    fn a_sleep_is_no_work() {
        let before = thread_cpu_ns();
        std::thread::park_timeout(std::time::Duration::from_millis(20));
        assert!(thread_cpu_ns() - before < 10_000_000);
    }
}
