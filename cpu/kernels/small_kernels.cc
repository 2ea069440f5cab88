// The small kernels and those of training, compiled once per instruction set.
#include "cpu/kernels/small_kernels.h"

#include "cpu/kernels/attention_inl.h"
#include "cpu/kernels/elementwise_inl.h"
#include "cpu/kernels/kv_store_inl.h"
#include "cpu/kernels/train_inl.h"
#if defined(AC_ISA_amx)
#include "cpu/kernels/attention_amx_inl.h"
#endif

namespace ac::cpu::AC_ISA {

extern const SmallKernels small_kernels;
const SmallKernels small_kernels = {
    .rms_norm = rms_norm,
    .rope_halves = rope_halves,
    .rope_interleaved = rope_interleaved,
    .gated_silu = gated_silu,
    .gated_gelu_tanh = gated_gelu_tanh,
    .add = add_to,
    .scale = scale,
    .softcap = softcap,
    .decode_f16 = decode_f16,
    .store_kv = store_kv,
#if defined(AC_ISA_amx)
    .attend = attend_amx,
    .attend_scratch_bytes = attend_scratch_bytes_amx,
    .attend_rows = kAttendRowsAmx,
#else
    .attend = attend,
    .attend_scratch_bytes = attend_scratch_bytes,
    .attend_rows = kAttendRows,
#endif
    .merge = merge,
};

extern const TrainKernels train_kernels;
const TrainKernels train_kernels = {
    .rms_norm_grad = rms_norm_grad,
    .gated_silu_grad = gated_grad<Silu>,
    .gated_gelu_tanh_grad = gated_grad<GeluTanh>,
    .softcap_grad = softcap_grad,
    .dot = dot,
    .sum_of_squares = square_sum,
    .softmax_row = softmax_row,
    .softmax_row_grad = softmax_row_grad,
    .cross_entropy_row = cross_entropy_row,
    .cross_entropy = cross_entropy,
    .divergence_row = divergence_row,
    .adamw = adamw,
};

}  // namespace ac::cpu::AC_ISA
