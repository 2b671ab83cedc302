//! The order of a packed matrix.

/// Lines that are filled at once: what is read for an output then lies side by side, mostly.
const LINES: usize = 16;

/// Writes `value(segment, place, output)` to `values`, `[outputs / panel, segments, segment_len, panel]`, of
/// which the last panel may be narrower.
pub(super) fn fill<V>(
    values: &mut [V],
    num_segments: usize,
    segment_len: usize,
    panel: usize,
    value: impl Fn(usize, usize, usize) -> V,
) {
    if values.is_empty() {
        return;
    }
    let depth = num_segments * segment_len;
    for (first_output, values) in (0..).step_by(panel).zip(values.chunks_mut(depth * panel)) {
        let panel = values.len() / depth;
        for (segment, lines) in values.chunks_exact_mut(segment_len * panel).enumerate() {
            for (first_place, lines) in (0..).step_by(LINES).zip(lines.chunks_mut(LINES * panel)) {
                for output in 0..panel {
                    for (place, line) in (first_place..).zip(lines.chunks_exact_mut(panel)) {
                        line[output] = value(segment, place, first_output + output);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_at_its_place() {
        let (num_segments, segment_len, panel, num_outputs) = (3, 2 * LINES + 5, 4, 14);
        let mut values = vec![(0, 0, 0); num_segments * segment_len * num_outputs];
        fill(&mut values, num_segments, segment_len, panel, |segment, place, output| {
            (segment, place, output)
        });
        let mut found = values.iter();
        for panel_outputs in (0..num_outputs).collect::<Vec<_>>().chunks(panel) {
            for segment in 0..num_segments {
                for place in 0..segment_len {
                    for &output in panel_outputs {
                        assert_eq!(found.next(), Some(&(segment, place, output)));
                    }
                }
            }
        }
        fill(&mut [] as &mut [u8], 1, 0, 4, |_, _, _| 0);
    }
}
