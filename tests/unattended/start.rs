//! Several starts at once.

use super::common::WorkingDir;
use super::run::{Run, code};

#[test]
fn of_two_and_of_ten_starts_exactly_one_trains() {
    for num_starts in [2, 10] {
        let working_dir = WorkingDir::with_features();
        let mut runs: Vec<Run> = (0..num_starts)
            .map(|index| {
                let dir = working_dir.path(format!("log{index}"));
                std::fs::create_dir(&dir).unwrap();
                Run::start_logging_to(&working_dir, &[], &dir.join("run.log"))
            })
            .collect();
        let codes: Vec<i32> = runs.iter_mut().map(|run| code(run.wait())).collect();
        let trained = codes.iter().filter(|&&code| code == 0).count();
        let refused = codes.iter().filter(|&&code| code == 75).count();
        assert_eq!((trained, refused), (1, num_starts - 1), "{codes:?}");
        for (run, code) in runs.iter().zip(&codes) {
            let is_told = run.log().contains("another run is at work (process ");
            assert_eq!(is_told, *code == 75, "{}", run.log());
        }
        let kept = std::fs::read_dir(working_dir.path("TrainedModels/runs")).unwrap().count();
        assert_eq!(kept, 1);
    }
}
