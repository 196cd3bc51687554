package dev.kindling.bench.peer;

import org.bytedeco.pytorch.DoubleOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.global.torch;

/** A model's forward. Every tensor that it makes belongs to the caller's pointer scope. */
interface PeerModel {
  /**
   * Logits of a batch: [batch, classes], or of a language model [batch, tokens, vocabulary].
   *
   * @param ids I64 [batch, tokens]
   */
  Tensor logits(Tensor ids);

  /**
   * {@code softmax(q·kᵀ/√headSize)·v} for every head, without dropout.
   *
   * @param q as k and v: [batch, tokens, hidden]
   * @return [batch, tokens, hidden]
   */
  static Tensor attention(Tensor q, Tensor k, Tensor v, int heads, boolean causal) {
    return merged(attend(split(q, heads), split(k, heads), split(v, heads), causal));
  }

  /** [batch, heads, tokens, headSize] of [batch, tokens, hidden]. */
  static Tensor split(Tensor x, int heads) {
    long[] shape = x.shape();
    return x.view(shape[0], shape[1], heads, shape[2] / heads).transpose(1, 2);
  }

  /** [batch, tokens, hidden] of [batch, heads, tokens, headSize]. */
  static Tensor merged(Tensor x) {
    long[] shape = x.shape();
    return x.transpose(1, 2).reshape(shape[0], shape[2], shape[1] * shape[3]);
  }

  /** Attention of split heads. */
  static Tensor attend(Tensor q, Tensor k, Tensor v, boolean causal) {
    return torch.scaled_dot_product_attention(
        q, k, v, new TensorOptional(), 0, causal, new DoubleOptional(), false);
  }

  /** A layer norm with gain and bias. */
  static Tensor layerNorm(Tensor x, Tensor gain, Tensor bias, double epsilon) {
    return torch.layer_norm(
        x, gain.shape(), new TensorOptional(gain), new TensorOptional(bias), epsilon, true);
  }
}
