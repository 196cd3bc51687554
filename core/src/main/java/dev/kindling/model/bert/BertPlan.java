package dev.kindling.model.bert;

import dev.kindling.checkpoint.WeightSlot;
import dev.kindling.data.TokenBatch;
import dev.kindling.lora.LinearModule;
import dev.kindling.lora.LinearModule.Kind;
import dev.kindling.model.FrozenWeights;
import dev.kindling.model.Model;
import dev.kindling.model.ModelPlan;
import dev.kindling.nn.Trainables;
import dev.kindling.tensor.Backend;
import java.util.ArrayList;
import java.util.List;

/**
 * The weight table of BERT and RoBERTa.
 *
 * @param classes outputs of the head
 */
public record BertPlan(BertConfig config, int classes) implements ModelPlan {
  static final String QUERY = "attention.self.query";
  static final String KEY = "attention.self.key";
  static final String VALUE = "attention.self.value";
  static final String ATTENTION_OUT = "attention.output.dense";
  static final String ATTENTION_NORM = "attention.output.LayerNorm";
  static final String INTERMEDIATE = "intermediate.dense";
  static final String OUT = "output.dense";
  static final String OUT_NORM = "output.LayerNorm";

  @Override
  public List<LinearModule> linears() {
    int d = config.hidden();
    int f = config.intermediate();
    List<LinearModule> all = new ArrayList<>();
    for (int l = 0; l < config.layers(); l++) {
      Kind read = l == config.layers() - 1 ? Kind.SUMMARY : Kind.BLOCK;
      all.add(new LinearModule(config.block(l, QUERY), d, d, true, read));
      all.add(new LinearModule(config.block(l, KEY), d, d, true, true));
      all.add(new LinearModule(config.block(l, VALUE), d, d, true, true));
      all.add(new LinearModule(config.block(l, ATTENTION_OUT), d, d, true, read));
      all.add(new LinearModule(config.block(l, INTERMEDIATE), d, f, true, read));
      all.add(new LinearModule(config.block(l, OUT), f, d, true, read));
    }
    all.add(new LinearModule(config.kind().dense, d, d, true, false));
    all.add(new LinearModule(config.kind().out, d, classes, true, false));
    return all;
  }

  @Override
  public List<List<String>> sharedInputs() {
    List<List<String>> all = new ArrayList<>();
    for (int l = 0; l < config.layers(); l++) {
      all.add(readers(l));
    }
    return all;
  }

  /** Query, key and value; of the last block, whose query reads first tokens alone, the others. */
  List<String> readers(int l) {
    List<String> keyValue = List.of(config.block(l, KEY), config.block(l, VALUE));
    return l == config.layers() - 1
        ? keyValue
        : List.of(config.block(l, QUERY), keyValue.get(0), keyValue.get(1));
  }

  @Override
  public List<WeightSlot> others() {
    int d = config.hidden();
    List<WeightSlot> slots = new ArrayList<>();
    slots.add(table("word_embeddings", config.vocabulary()));
    slots.add(table("position_embeddings", config.positions()));
    slots.add(table("token_type_embeddings", config.types()));
    norm(slots, config.embedding("LayerNorm"), d);
    for (int l = 0; l < config.layers(); l++) {
      norm(slots, config.block(l, ATTENTION_NORM), d);
      norm(slots, config.block(l, OUT_NORM), d);
    }
    return slots;
  }

  private WeightSlot table(String name, int rows) {
    return new WeightSlot(config.embedding(name) + ".weight", true, rows, config.hidden());
  }

  private static void norm(List<WeightSlot> slots, String name, int d) {
    slots.add(new WeightSlot(name + ".weight", false, d));
    slots.add(new WeightSlot(name + ".bias", false, d));
  }

  @Override
  public List<String> head() {
    return List.of("classifier");
  }

  @Override
  public int vocabulary() {
    return config.vocabulary();
  }

  @Override
  public TokenBatch.Rules rules() {
    return config.rules();
  }

  @Override
  public Model build(
      Backend backend, FrozenWeights weights, Trainables trainables, boolean recompute) {
    return new BertModel(this, backend, weights, trainables, recompute);
  }
}
