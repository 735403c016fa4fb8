//! The contract that every layer obeys.
