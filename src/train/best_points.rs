//! The mean of the best points that a descent came through.
//!
//! Which of them is the very best on valid is chance: where features differ in their last bits, as those
//! of two engines do, L-BFGS takes another way, and the best point on it is another head. The mean of
//! several hardly changes. The loss is convex in the weights, so the mean's is at most the mean of theirs.

use super::vector::Vector;
use crate::error::Result;

/// Points that are averaged at most: `docs/recipe.md` says what fewer and more give.
const MAX_POINTS: usize = 64;
/// Numbers in all of them at most, 40 MB, and in all their logits: the dog breeds' heads, of which 35 are that
/// many, have more images to be chosen on, and chance has less of a say.
const MAX_VALUES: usize = 10 << 20;
/// Points whose validation loss is higher than the lowest by this part have no weight in the mean.
const MARGIN: f64 = 0.05;

/// A point, and what the validation split says of it.
#[derive(Debug, Clone)]
pub(super) struct Point {
    pub(super) l2_penalty: f64,
    pub(super) valid_loss: f64,
    pub(super) at: Vector,
}

/// The points with the lowest validation losses so far, the lowest first.
#[derive(Debug)]
pub(super) struct BestPoints {
    max_points: usize,
    points: Vec<Point>,
}

impl BestPoints {
    /// Of points that are, or whose logits are, so many numbers each at most.
    pub(super) fn new(num_values: usize) -> Self {
        BestPoints { max_points: max_points(num_values), points: Vec::new() }
    }

    /// Keeps a copy of the point if it is one of the best.
    pub(super) fn offer(&mut self, l2_penalty: f64, valid_loss: f64, at: &Vector) {
        let place = self.points.partition_point(|point| point.valid_loss <= valid_loss);
        // Not so where the loss is no number.
        if place < self.max_points && valid_loss.is_finite() {
            let is_full = self.points.len() == self.max_points;
            let at = match self.points.pop_if(|_| is_full) {
                // Its memory need not be asked for again.
                Some(Point { at: mut last, .. }) => {
                    last.set_to(&[([1.0; 2], at)]);
                    last
                }
                None => at.clone(),
            };
            self.points.insert(place, Point { l2_penalty, valid_loss, at });
        }
    }

    /// The one with the lowest validation loss.
    pub(super) fn best(&self) -> Option<&Point> {
        self.points.first()
    }

    /// The mean, with the penalty of the best and the number of points in it. The lower its loss, the
    /// more a point weighs: the last one, or one at the margin, nothing, so that it makes no difference
    /// whether it is among them. `reweigh` may change the weights, which add up to 1, of the points it is shown.
    ///
    /// # Errors
    /// Those of `reweigh`.
    pub(super) fn mean(
        self,
        reweigh: impl FnOnce(&mut [f64], &[&Vector]) -> Result<()>,
    ) -> Result<Option<(f64, Vector, usize)>> {
        let Some((best, last)) = self.best().zip(self.points.last()) else { return Ok(None) };
        let limit = last.valid_loss.min(best.valid_loss * (1.0 + MARGIN));
        let (mut weights, points): (Vec<f64>, Vec<&Vector>) = self
            .points
            .iter()
            .map(|point| (limit - point.valid_loss, &point.at))
            .filter(|(weight, _)| *weight > 0.0)
            .unzip();
        if weights.is_empty() {
            // All are as good.
            return Ok(Some((best.l2_penalty, best.at.clone(), 1)));
        }
        let sum: f64 = weights.iter().sum();
        weights.iter_mut().for_each(|weight| *weight /= sum);
        reweigh(&mut weights, &points)?;
        let mut mean = best.at.clone();
        let terms = weights.iter().zip(&points).map(|(&weight, &point)| ([weight; 2], point));
        mean.set_to(&terms.collect::<Vec<_>>());
        Ok(Some((best.l2_penalty, mean, weights.len())))
    }
}

/// Of so many numbers each. A mean takes two.
fn max_points(num_values: usize) -> usize {
    (MAX_VALUES / num_values).clamp(2, MAX_POINTS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::head::Head;

    #[test]
    fn fewer_points_are_kept_the_larger_they_are() {
        assert_eq!([4, 144 * 664, 144 * 2048, 1 << 24].map(max_points), [64, 64, 35, 2]);
    }

    fn at(value: f32) -> Vector {
        Vector::of(&Head { weight: vec![value; 6], bias: vec![-value; 2] })
    }

    fn assert_is(mean: &Vector, expected: f32) {
        let Head { weight, bias } = mean.head(3);
        assert!(
            weight.iter().all(|value| (value - expected).abs() < 1e-4 * expected),
            "{weight:?}"
        );
        assert!(bias.iter().all(|value| (value + expected).abs() < 1e-4 * expected), "{bias:?}");
    }

    #[test]
    fn points_weigh_by_what_they_lie_below_the_margin() {
        let mut points = BestPoints::new(at(0.0).len());
        for (penalty, loss, value) in
            [(1.0, 0.5, 100.0), (2.0, 0.415, 2.0), (3.0, 0.4, 6.0), (4.0, f64::NAN, 9.0)]
        {
            points.offer(penalty, loss, &at(value));
        }
        let (l2_penalty, mean, num_points) = points.mean(|_, _| Ok(())).unwrap().unwrap();
        assert_eq!((l2_penalty, num_points), (3.0, 2));
        // 0.005 and 0.02 below 0.42.
        assert_is(&mean, (2.0 + 4.0 * 6.0) / 5.0);
        assert!(BestPoints::new(8).mean(|_, _| Ok(())).unwrap().is_none());
    }

    #[test]
    fn other_weights_can_be_given_to_the_points_that_weigh_something() {
        let mut points = BestPoints::new(at(0.0).len());
        for (loss, value) in [(0.42, 100.0), (0.4, 6.0), (0.405, 2.0)] {
            points.offer(1.0, loss, &at(value));
        }
        let (_, mean, num_points) = points
            .mean(|weights, points| {
                assert_eq!(points.iter().map(|at| -at.bias[0]).collect::<Vec<_>>(), [6.0, 2.0]);
                assert!((weights[0] - 4.0 / 7.0).abs() < 1e-9, "{weights:?}");
                weights.copy_from_slice(&[0.25, 0.75]);
                Ok(())
            })
            .unwrap()
            .unwrap();
        assert_eq!(num_points, 2);
        assert_is(&mean, 3.0);
    }

    #[test]
    fn of_points_that_are_as_good_the_first_is_taken() {
        let mut points = BestPoints::new(at(0.0).len());
        points.offer(1.0, 0.5, &at(1.0));
        points.offer(2.0, 0.5, &at(2.0));
        let (l2_penalty, mean, num_points) = points.mean(|_, _| Ok(())).unwrap().unwrap();
        assert_eq!((l2_penalty, num_points), (1.0, 1));
        assert_is(&mean, 1.0);
    }

    #[test]
    fn the_best_are_kept_whenever_they_come() {
        let mut points = BestPoints::new(at(0.0).len());
        let num_points = 3 * MAX_POINTS;
        // Each number once, in another order.
        for step in 0..num_points {
            let number = step * 5 % num_points;
            points.offer(number as f64, 1.0 + 1e-4 * number as f64, &at(number as f32));
        }
        let (l2_penalty, mean, kept) = points.mean(|_, _| Ok(())).unwrap().unwrap();
        // The last of them weighs nothing, number `n` weighs as much as there are after it.
        assert_eq!((l2_penalty, kept), (0.0, MAX_POINTS - 1));
        let last = MAX_POINTS - 1;
        let sum: usize = (0..last).map(|number| number * (last - number)).sum();
        assert_is(&mean, sum as f32 / (last * (last + 1) / 2) as f32);
    }
}
