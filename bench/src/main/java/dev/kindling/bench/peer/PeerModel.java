package dev.kindling.bench.peer;

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

  /** A layer norm with gain and bias. */
  static Tensor layerNorm(Tensor x, Tensor gain, Tensor bias, double epsilon) {
    return torch.layer_norm(
        x, gain.shape(), new TensorOptional(gain), new TensorOptional(bias), epsilon, true);
  }
}
