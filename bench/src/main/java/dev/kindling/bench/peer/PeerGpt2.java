package dev.kindling.bench.peer;

import dev.kindling.model.gpt2.Gpt2Config;
import java.util.ArrayList;
import java.util.List;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;

/** Transformers' GPT2LMHeadModel with a tied head. */
final class PeerGpt2 implements PeerModel {
  private record Block(
      Tensor attentionGain,
      Tensor attentionBias,
      PeerLinear joined,
      PeerLinear out,
      Tensor feedGain,
      Tensor feedBias,
      PeerLinear up,
      PeerLinear down) {}

  private final Gpt2Config config;
  private final Tensor words;
  private final Tensor positions;
  private final List<Block> blocks = new ArrayList<>();
  private final PeerAttention attention;
  private final Tensor lastGain;
  private final Tensor lastBias;

  PeerGpt2(Gpt2Config config, PeerWeights weights, int length, ScalarType type) {
    this.config = config;
    words = weights.tensor("transformer.wte.weight");
    positions = weights.tensor("transformer.wpe.weight");
    for (int l = 0; l < config.layers(); l++) {
      String block = "transformer.h." + l + ".";
      blocks.add(
          new Block(
              weights.tensor(block + "ln_1.weight"),
              weights.tensor(block + "ln_1.bias"),
              weights.conv1d(block + "attn.c_attn"),
              weights.conv1d(block + "attn.c_proj"),
              weights.tensor(block + "ln_2.weight"),
              weights.tensor(block + "ln_2.bias"),
              weights.conv1d(block + "mlp.c_fc"),
              weights.conv1d(block + "mlp.c_proj")));
    }
    attention = PeerAttention.of(config.heads(), true, length, type);
    lastGain = weights.tensor("transformer.ln_f.weight");
    lastBias = weights.tensor("transformer.ln_f.bias");
  }

  @Override
  public Tensor logits(Tensor ids) {
    Tensor x = torch.embedding(words, ids).add(positions.narrow(0, 0, ids.size(1)));
    for (Block block : blocks) {
      x = forward(block, x);
    }
    return torch.linear(PeerModel.layerNorm(x, lastGain, lastBias, config.epsilon()), words);
  }

  private Tensor forward(Block block, Tensor x) {
    Tensor n = PeerModel.layerNorm(x, block.attentionGain, block.attentionBias, config.epsilon());
    TensorVector qkv = block.joined.forward(n).split(config.hidden(), 2);
    Tensor context =
        attention.forward(
            attention.split(qkv.get(0)), attention.split(qkv.get(1)), attention.split(qkv.get(2)));
    Tensor h = x.add(block.out.forward(context));
    Tensor m = PeerModel.layerNorm(h, block.feedGain, block.feedBias, config.epsilon());
    return h.add(block.down.forward(torch.gelu(block.up.forward(m), "tanh")));
  }
}
