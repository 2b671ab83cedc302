// A step of SGD with momentum in one pass over the memory; src/train/sgd/step.rs declares it.
//
// The function returns false when it failed, with the reason in `message`.

#include <ATen/TensorIterator.h>
#include <ATen/core/Tensor.h>

#include <cstdint>

#include "failure.h"

namespace {

using at::Tensor;
using ec2train::guarded;

// Factors of a step; the same struct is in step.rs.
struct Factors {
  float momentum;
  float weight_decay;
  float rate;
};

// `n` elements that lie side by side.
void step(float* __restrict value, float* __restrict velocity, const float* __restrict gradient,
          int64_t n, Factors factors) {
  for (int64_t i = 0; i < n; ++i) {
    velocity[i] =
        factors.momentum * velocity[i] + (gradient[i] + factors.weight_decay * value[i]);
    value[i] -= factors.rate * velocity[i];
  }
}

}  // namespace

extern "C" {

// velocity = momentum * velocity + gradient + weight_decay * value; value -= rate * velocity.
// All f32 of one shape. On as many threads as libtorch has.
bool ec2train_sgd_step(const Tensor* value, const Tensor* velocity, const Tensor* gradient,
                       Factors factors, char* message, size_t capacity) noexcept {
  return guarded(message, capacity, [&] {
    TORCH_CHECK(value->scalar_type() == at::kFloat, "a parameter is not in f32");
    TORCH_CHECK(gradient->sizes() == value->sizes(), "a gradient is not of its parameter's shape");
    auto elements = at::TensorIteratorConfig()
                        .resize_outputs(false)
                        .add_output(*value)
                        .add_output(*velocity)
                        .add_const_input(*gradient)
                        .build();
    elements.for_each([&](char** data, const int64_t* strides, int64_t n) {
      char *value = data[0], *velocity = data[1], *gradient = data[2];
      const bool is_dense = strides[0] == sizeof(float) && strides[1] == sizeof(float) &&
                            strides[2] == sizeof(float);
      const int64_t len = is_dense ? n : 1;
      for (int64_t i = 0; i < n; i += len) {
        step(reinterpret_cast<float*>(value), reinterpret_cast<float*>(velocity),
             reinterpret_cast<const float*>(gradient), len, factors);
        value += strides[0];
        velocity += strides[1];
        gradient += strides[2];
      }
    });
  });
}

}  // extern "C"
