//! Sums that are exact, whatever the order and the magnitude of what is added.
//!
//! | module | what it does |
//! |---|---|
//! | [`columns`] | sums of columns and of their squares |
//! | [`number`] | numbers as wide as they need to be |
//! | [`quotient`] | their quotients, rounded once |

pub mod columns;
pub mod number;
#[cfg(test)]
mod number_tests;
pub mod quotient;
#[cfg(test)]
mod tests;
