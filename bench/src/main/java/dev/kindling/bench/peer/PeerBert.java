package dev.kindling.bench.peer;

import dev.kindling.model.bert.BertConfig;
import java.util.ArrayList;
import java.util.List;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;

/** Transformers' BertForSequenceClassification on rows without padding. */
final class PeerBert implements PeerModel {
  private record Block(
      PeerLinear query,
      PeerLinear key,
      PeerLinear value,
      PeerLinear attentionOut,
      Norm attentionNorm,
      PeerLinear intermediate,
      PeerLinear out,
      Norm outNorm) {}

  private record Norm(Tensor gain, Tensor bias, double epsilon) {
    Tensor forward(Tensor x) {
      return PeerModel.layerNorm(x, gain, bias, epsilon);
    }
  }

  private final BertConfig config;
  private final PeerWeights weights;
  private final Tensor words;
  private final Tensor positions;
  private final Tensor types;
  private final Norm embeddingNorm;
  private final List<Block> blocks = new ArrayList<>();
  private final PeerAttention attention;
  private final PeerLinear pooler;
  private final PeerLinear classifier;

  PeerBert(BertConfig config, PeerWeights weights, int length, ScalarType type) {
    this.config = config;
    this.weights = weights;
    words = weights.tensor("bert.embeddings.word_embeddings.weight");
    positions = weights.tensor("bert.embeddings.position_embeddings.weight");
    types = weights.tensor("bert.embeddings.token_type_embeddings.weight");
    embeddingNorm = norm("bert.embeddings.LayerNorm");
    for (int l = 0; l < config.layers(); l++) {
      String block = "bert.encoder.layer." + l + ".";
      blocks.add(
          new Block(
              weights.linear(block + "attention.self.query"),
              weights.linear(block + "attention.self.key"),
              weights.linear(block + "attention.self.value"),
              weights.linear(block + "attention.output.dense"),
              norm(block + "attention.output.LayerNorm"),
              weights.linear(block + "intermediate.dense"),
              weights.linear(block + "output.dense"),
              norm(block + "output.LayerNorm")));
    }
    attention = PeerAttention.of(config.heads(), false, length, type);
    pooler = weights.linear("bert.pooler.dense");
    classifier = weights.linear("classifier");
  }

  private Norm norm(String name) {
    return new Norm(
        weights.tensor(name + ".weight"), weights.tensor(name + ".bias"), config.epsilon());
  }

  @Override
  public Tensor logits(Tensor ids) {
    Tensor sum = torch.embedding(words, ids).add(positions.narrow(0, 0, ids.size(1)));
    Tensor x = embeddingNorm.forward(sum.add(types.select(0, 0)));
    for (Block block : blocks) {
      x = forward(block, x);
    }
    return classifier.forward(pooler.forward(x.select(1, 0)).tanh());
  }

  private Tensor forward(Block block, Tensor x) {
    Tensor context =
        attention.forward(
            attention.split(block.query.forward(x)),
            attention.split(block.key.forward(x)),
            attention.split(block.value.forward(x)));
    Tensor h = block.attentionNorm.forward(x.add(block.attentionOut.forward(context)));
    Tensor inner = torch.gelu(block.intermediate.forward(h));
    return block.outNorm.forward(h.add(block.out.forward(inner)));
  }
}
