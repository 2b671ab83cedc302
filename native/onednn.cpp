// libtorch's fused oneDNN convolutions as C functions; src/model/backbone/onednn/convolution.rs
// declares them.
//
// libtorch registers the fused operators for its own compiler and declares them in no public
// header, so they are looked up by name. The lookup checks the argument types against the
// operator's: another libtorch gives an error, not a crash.
//
// Every function returns false when it failed, with the reason in `message`.

#include <ATen/core/List.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/cpu/Utils.h>
#include <ATen/ops/mkldnn_reorder_conv2d_weight.h>

#include <cstdint>
#include <optional>
#include <string_view>

#include "failure.h"

namespace {

using at::IntArrayRef;
using at::Scalar;
using at::Tensor;
using ec2train::guarded;
using Scalars = c10::List<std::optional<Scalar>>;

// Geometry of a square convolution; the same struct is in convolution.rs.
struct Geometry {
  int64_t stride;
  int64_t padding;
};

constexpr int64_t kGroups = 1;
constexpr int64_t kDilation[] = {1, 1};

// unary(convolution(x, weight) + bias)
using Pointwise = Tensor(const Tensor& x, const Tensor& weight, const std::optional<Tensor>& bias,
                         IntArrayRef padding, IntArrayRef stride, IntArrayRef dilation,
                         int64_t groups, std::string_view unary, Scalars unary_scalars,
                         std::optional<std::string_view> unary_algorithm);

// other = unary(binary(convolution(x, weight) + bias, other))
using PointwiseBinary = Tensor&(Tensor& other, const Tensor& x, const Tensor& weight,
                                const std::optional<Tensor>& bias, IntArrayRef padding,
                                IntArrayRef stride, IntArrayRef dilation, int64_t groups,
                                std::string_view binary, std::optional<Scalar> alpha,
                                std::optional<std::string_view> unary, Scalars unary_scalars,
                                std::optional<std::string_view> unary_algorithm);

template <typename Signature>
c10::TypedOperatorHandle<Signature> find(const char* name, const char* overload) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, overload).typed<Signature>();
}

}  // namespace

extern "C" {

// `weight` [out, in, k, k], in the layout that oneDNN prefers for inputs of shape `input` [n, in,
// h, w]. `packed` is the caller's.
bool ec2train_onednn_pack(const Tensor* weight, Geometry geometry, const int64_t* input,
                          Tensor** packed, char* message, size_t capacity) noexcept {
  return guarded(message, capacity, [&] {
    const int64_t padding[] = {geometry.padding, geometry.padding};
    const int64_t stride[] = {geometry.stride, geometry.stride};
    *packed = new Tensor(at::mkldnn_reorder_conv2d_weight(
        weight->to_mkldnn(), padding, stride, kDilation, kGroups, IntArrayRef(input, 4)));
  });
}

// The convolution of `x` plus `bias`, clipped at zero where `relu`. `y` is the caller's.
bool ec2train_onednn_convolve(const Tensor* x, const Tensor* weight, const Tensor* bias,
                              Geometry geometry, bool relu, Tensor** y, char* message,
                              size_t capacity) noexcept {
  return guarded(message, capacity, [&] {
    static const auto op = find<Pointwise>("mkldnn::_convolution_pointwise", "");
    const int64_t padding[] = {geometry.padding, geometry.padding};
    const int64_t stride[] = {geometry.stride, geometry.stride};
    *y = new Tensor(op.call(*x, *weight, *bias, padding, stride, kDilation, kGroups,
                            relu ? "relu" : "none", Scalars(), std::nullopt));
  });
}

// `sum` becomes relu(sum + convolution of `x` + `bias`).
bool ec2train_onednn_convolve_add_relu(Tensor* sum, const Tensor* x, const Tensor* weight,
                                       const Tensor* bias, Geometry geometry, char* message,
                                       size_t capacity) noexcept {
  return guarded(message, capacity, [&] {
    static const auto op = find<PointwiseBinary>("mkldnn::_convolution_pointwise_", "binary");
    const int64_t padding[] = {geometry.padding, geometry.padding};
    const int64_t stride[] = {geometry.stride, geometry.stride};
    op.call(*sum, *x, *weight, *bias, padding, stride, kDilation, kGroups, "add", Scalar(1.0),
            "relu", Scalars(), std::nullopt);
  });
}

// Asks the operating system for the AMX registers; `granted` says whether it gave them.
bool ec2train_onednn_request_amx(bool* granted, char* message, size_t capacity) noexcept {
  return guarded(message, capacity, [&] { *granted = at::cpu::init_amx(); });
}

}  // extern "C"
