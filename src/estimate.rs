//! Estimates: what a wish, or a batch of them, would cost.
