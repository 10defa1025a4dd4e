//! Conversion from OpenMetrics to the older Prometheus text format, which more tools support.
//!
//! For these metrics the formats differ only in the type line of a counter. OpenMetrics declares the family `x` for
//! the sample `x_total`. The older format declares `x_total`.

/// Rewrites the type lines of counters and removes lines that the older format does not support.
pub(super) fn to_prometheus(open_metrics: &str) -> String {
    let mut counters = Vec::new();
    for line in open_metrics.lines() {
        if let Some(name) =
            line.strip_prefix("# TYPE ").and_then(|rest| rest.strip_suffix(" counter"))
        {
            counters.push(name);
        }
    }
    let mut text = String::with_capacity(open_metrics.len() + 6 * 2 * counters.len());
    for line in open_metrics.lines() {
        if line == "# EOF" || line.starts_with("# UNIT ") {
            continue;
        }
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some(kind @ ("TYPE" | "HELP")), Some(name), Some(rest))
                if counters.contains(&name) =>
            {
                text.extend(["# ", kind, " ", name, "_total ", rest]);
            }
            _ => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_declared_with_the_names_of_their_samples() {
        let open = "# HELP a Things counted.\n# TYPE a counter\na_total{x=\"# TYPE a counter\"} 1\n\
                    # HELP b_seconds Time.\n# TYPE b_seconds histogram\n# UNIT b_seconds seconds\nb_seconds_sum 0.5\n# EOF\n";
        let old = "# HELP a_total Things counted.\n# TYPE a_total counter\na_total{x=\"# TYPE a counter\"} 1\n\
                   # HELP b_seconds Time.\n# TYPE b_seconds histogram\nb_seconds_sum 0.5\n";
        assert_eq!(to_prometheus(open), old);
    }
}
