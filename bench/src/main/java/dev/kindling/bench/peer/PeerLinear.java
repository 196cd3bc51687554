package dev.kindling.bench.peer;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;

/**
 * A layer as PEFT's {@code lora.Linear.forward} computes it without dropout: {@code result =
 * base_layer(x); result = result + lora_B(lora_A(x)) * scaling}.
 *
 * @param w [out, in]; turned [in, out]
 * @param bias [out], or null
 * @param turned whether the base layer is a Conv1D
 * @param a fp32 [r, in], or null without a pair
 * @param b fp32 [out, r], or null
 * @param scaling alpha / r
 * @param type of x, the products and the result
 */
record PeerLinear(
    Tensor w,
    @Nullable Tensor bias,
    boolean turned,
    @Nullable Tensor a,
    @Nullable Tensor b,
    Scalar scaling,
    ScalarType type) {
  /** y [batch, tokens, out] of x [batch, tokens, in]. */
  Tensor forward(Tensor x) {
    Tensor result = base(x);
    if (a == null || b == null) {
      return result;
    }
    Tensor branch = torch.linear(torch.linear(x, a.to(type)), b.to(type));
    return result.add(branch.mul(scaling));
  }

  private Tensor base(Tensor x) {
    if (bias == null) {
      return torch.linear(x, w.to(type));
    }
    if (!turned) {
      return torch.linear(x, w.to(type), new TensorOptional(bias.to(type)));
    }
    long[] shape = x.shape();
    Tensor flat = torch.addmm(bias, x.view(-1, w.size(0)), w);
    return flat.view(shape[0], shape[1], w.size(1));
  }
}
