//! Options that take a number.

use cli::CliError;

use crate::args::Line;

/// The number that an option gives, 0 to `most`; `None` if the option is not given.
pub(crate) fn number(line: &Line, name: &str, most: u32) -> Result<Option<u32>, CliError> {
    let parse = |text: &str| {
        text.parse()
            .ok()
            .filter(|number| *number <= most)
            .ok_or_else(|| {
                CliError::usage(format!("invalid --{name} '{text}': expected 0 to {most}"))
            })
    };
    line.get(name).map(parse).transpose()
}
