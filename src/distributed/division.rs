//! Which process sees to which image.

/// For each image the rank that has its features or computes them.
///
/// `keys` `[N]` tell the images apart, alike on every rank; `stored` `[ranks][N]` says whose features are
/// where; `num_workers` `[ranks]` weighs what is left to compute. What is stored is not computed again:
/// the lowest rank that has it provides it. The rest is dealt out in the order of its keys, in shares
/// that differ from the ideal by less than one image.
///
/// # Panics
/// When the lengths differ.
pub fn divide(keys: &[blake3::Hash], stored: &[Vec<bool>], num_workers: &[usize]) -> Vec<usize> {
    assert_eq!(stored.len(), num_workers.len(), "a list for each rank");
    let holder = |image: usize| stored.iter().position(|stored| stored[image]);
    let mut ranks: Vec<usize> = (0..keys.len()).map(|image| holder(image).unwrap_or(0)).collect();
    let mut left: Vec<usize> = (0..keys.len()).filter(|&image| holder(image).is_none()).collect();
    left.sort_by_key(|&image| (*keys[image].as_bytes(), image));

    let total: usize = num_workers.iter().sum();
    let (mut begin, mut num_before) = (0, 0);
    for (rank, workers) in num_workers.iter().enumerate() {
        num_before += workers;
        let end = left.len() * num_before / total.max(1);
        for &image in &left[begin..end.max(begin)] {
            ranks[image] = rank;
        }
        begin = end.max(begin);
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(num_images: usize) -> Vec<blake3::Hash> {
        (0..num_images).map(|image| blake3::hash(&image.to_le_bytes())).collect()
    }

    fn counts(ranks: &[usize], world_size: usize) -> Vec<usize> {
        (0..world_size).map(|rank| ranks.iter().filter(|&&of| of == rank).count()).collect()
    }

    #[test]
    fn shares_are_equal_to_one_image_and_follow_the_workers() {
        for num_images in 0..50 {
            let nothing = vec![vec![false; num_images]; 4];
            let shares = counts(&divide(&keys(num_images), &nothing, &[1, 1, 1, 1]), 4);
            assert_eq!(shares.iter().sum::<usize>(), num_images);
            assert!(shares.iter().max().unwrap() - shares.iter().min().unwrap() <= 1);
        }
        let nothing = vec![vec![false; 100]; 2];
        assert_eq!(counts(&divide(&keys(100), &nothing, &[8, 2]), 2), [80, 20]);
    }

    #[test]
    fn what_is_stored_stays_where_it_is_and_the_rest_is_divided_anew() {
        let mut stored = vec![vec![false; 10], vec![false; 10]];
        stored[1][3] = true;
        stored[0][4] = true;
        stored[1][4] = true;
        let ranks = divide(&keys(10), &stored, &[1, 1]);
        assert_eq!((ranks[3], ranks[4]), (1, 0));
        assert_eq!(counts(&ranks, 2), [5, 5]);
    }

    #[test]
    fn the_order_of_the_keys_decides_not_that_of_the_images() {
        let keys = keys(8);
        let nothing = vec![vec![false; 8]; 2];
        let ranks = divide(&keys, &nothing, &[1, 1]);
        let mut reversed = keys.clone();
        reversed.reverse();
        let mut ranks_of_reversed = divide(&reversed, &nothing, &[1, 1]);
        ranks_of_reversed.reverse();
        assert_eq!(ranks, ranks_of_reversed);
    }
}
