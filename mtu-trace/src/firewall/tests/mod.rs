//! Tests on rules that real tools printed, and on real namespaces.
