package dev.kindling.bench.peer;

import dev.kindling.model.llama.LlamaConfig;
import java.util.ArrayList;
import java.util.List;
import org.bytedeco.pytorch.DoubleOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;

/** Transformers' LlamaForCausalLM, for as many heads of keys as of queries. */
final class PeerLlama implements PeerModel {
  private static final double THETA = 10_000;

  private record Block(
      Tensor attentionNorm,
      PeerLinear query,
      PeerLinear key,
      PeerLinear value,
      PeerLinear out,
      Tensor feedNorm,
      PeerLinear gate,
      PeerLinear up,
      PeerLinear down) {}

  private final LlamaConfig config;
  private final Tensor table;
  private final List<Block> blocks = new ArrayList<>();
  private final Tensor lastNorm;
  private final PeerLinear head;
  private final PeerAttention attention;
  private final Tensor cos;
  private final Tensor sin;

  PeerLlama(LlamaConfig config, PeerWeights weights, int length, ScalarType type) {
    this.config = config;
    table = weights.tensor("model.embed_tokens.weight");
    for (int l = 0; l < config.layers(); l++) {
      String block = "model.layers." + l + ".";
      blocks.add(
          new Block(
              weights.tensor(block + "input_layernorm.weight"),
              weights.linear(block + "self_attn.q_proj"),
              weights.linear(block + "self_attn.k_proj"),
              weights.linear(block + "self_attn.v_proj"),
              weights.linear(block + "self_attn.o_proj"),
              weights.tensor(block + "post_attention_layernorm.weight"),
              weights.linear(block + "mlp.gate_proj"),
              weights.linear(block + "mlp.up_proj"),
              weights.linear(block + "mlp.down_proj")));
    }
    lastNorm = weights.tensor("model.norm.weight");
    head = weights.linear("lm_head");
    attention = PeerAttention.of(config.heads(), true, length, type);
    int size = config.headSize();
    float[] cosines = new float[length * size];
    float[] sines = new float[length * size];
    for (int i = 0; i < cosines.length; i++) {
      int position = i / size;
      int pair = i % size % (size / 2);
      double angle = position * Math.pow(THETA, -2.0 * pair / size);
      cosines[i] = (float) Math.cos(angle);
      sines[i] = (float) Math.sin(angle);
    }
    cos = Tensor.create(cosines, length, size).to(type);
    sin = Tensor.create(sines, length, size).to(type);
  }

  @Override
  public Tensor logits(Tensor ids) {
    Tensor x = torch.embedding(table, ids);
    for (Block block : blocks) {
      x = forward(block, x);
    }
    return head.forward(norm(x, lastNorm));
  }

  private Tensor forward(Block block, Tensor x) {
    Tensor n = norm(x, block.attentionNorm);
    Tensor q = rotated(attention.split(block.query.forward(n)));
    Tensor k = rotated(attention.split(block.key.forward(n)));
    Tensor v = attention.split(block.value.forward(n));
    Tensor h = x.add(block.out.forward(attention.forward(q, k, v)));
    Tensor m = norm(h, block.feedNorm);
    Tensor active = torch.silu(block.gate.forward(m)).mul(block.up.forward(m));
    return h.add(block.down.forward(active));
  }

  private Tensor norm(Tensor x, Tensor gain) {
    return torch.rms_norm(
        x, gain.shape(), new TensorOptional(gain), new DoubleOptional(config.epsilon()));
  }

  /** apply_rotary_pos_emb: {@code x * cos + rotate_half(x) * sin}. */
  private Tensor rotated(Tensor x) {
    TensorVector halves = x.chunk(2, -1);
    Tensor turned = torch.cat(new TensorVector(halves.get(1).neg(), halves.get(0)), -1);
    return x.mul(cos).add(turned.mul(sin));
  }
}
