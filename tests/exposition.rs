//! The strict reader of Prometheus's text format, which other tests rely on.
#![expect(clippy::float_cmp, reason = "figures as they were written")]

mod support;

use support::exposition::Exposition;

#[test]
fn what_breaks_the_format_is_seen() {
    let whole = "# HELP a_total A.\n# TYPE a_total counter\na_total{x=\"\\\"\\\\\\n\"} 1\n\
         # HELP b B.\n# TYPE b histogram\nb_bucket{le=\"0.5\"} 1\nb_bucket{le=\"+Inf\"} 2\n\
         b_sum 1.25\nb_count 2\n";
    let page = Exposition::parse(whole).unwrap();
    assert_eq!(page.value("a_total", &[("x", "\"\\\n")]), 1.0);
    for (from, to) in [
        ("b_count 2\n", "b_count 2"),
        ("# HELP a_total A.\n", ""),
        ("# TYPE a_total counter\n", ""),
        ("a_total counter", "a_total count"),
        ("a_total counter", "a_total gauge"),
        ("a_total{", "a_totals{"),
        ("{x=", "{x-y="),
        ("{x=", "{__x="),
        ("\\n\"} 1", "\\t\"} 1"),
        ("\"} 1\n#", "\",x=\"\"} 1\n#"),
        ("\"} 1\n#", "\"} 1\n\n#"),
        ("\"} 1\n#", "\"} NaN\n#"),
        ("\"} 1\n#", "\"} -1\n#"),
        ("\"} 1\n#", "\"} 1 1700000000\n#"),
        ("\"} 1\n#", "\"} 1\na_total{y=\"\"} 1\n#"),
        ("le=\"0.5\"} 1", "le=\"0.5\"} 3"),
        ("le=\"0.5\"", "le=\"+Inf\""),
        ("b_bucket{le=\"+Inf\"} 2\n", ""),
        ("b_sum 1.25\n", ""),
        ("b_count 2", "b_count 3"),
        ("b_count 2\n", "b_count 2\na_total{x=\"\"} 1\n"),
        (
            "b_count 2\n",
            "b_count 2\n# HELP a_total A.\n# TYPE a_total counter\na_total 1\n",
        ),
    ] {
        let broken = whole.replacen(from, to, 1);
        assert_ne!(broken, whole);
        assert!(Exposition::parse(&broken).is_err(), "{broken}");
    }
}
