//! The engines' output where layer4 begins.

use ec2train::model::backbone::{Backbone, Engine};
use ec2train::model::head::Head;
use ec2train::model::layer4::{Layer4, input, to_vec};
use ec2train::model::resnet::LAYER4_INPUT_LEN;

use crate::formula::{pixels, state_dict};

#[test]
fn layer4_goes_on_where_each_engine_was_cut() {
    ec2train::libtorch::link();
    let state_dict = state_dict();
    let head = Head::from_state_dict(&state_dict).unwrap();
    let network = Layer4::new(&state_dict, &head).unwrap();
    for engine in Engine::supported() {
        let mut worker = Backbone::new(engine, &state_dict, 2).unwrap().worker();
        let mut whole = vec![0.0; 2 * 2048];
        worker.forward(&pixels(), &mut whole).unwrap();
        let mut features = vec![0.0; 2 * 2048];
        let mut cut = vec![0; 2 * LAYER4_INPUT_LEN];
        worker.forward_with_cut(&pixels(), &mut features, Some(&mut cut)).unwrap();
        assert!(features == whole, "{engine}: the cut changes the features");
        let expected = head.pack().logits(&features);
        let found = to_vec(&network.logits(&input(&cut).unwrap()).unwrap()).unwrap();
        let distance = |a: f32, b: f32| f64::from(a - b).powi(2);
        let error: f64 = found.iter().zip(&expected).map(|(&a, &b)| distance(a, b)).sum();
        let size: f64 = expected.iter().map(|&b| f64::from(b).powi(2)).sum();
        assert!((error / size).sqrt() < 0.01, "{engine}: off by {error} of {size}");
    }
}
