package dev.kindling.lora;

/**
 * A module of a model that can be adapted or trained, as PEFT would find it: a linear layer, or an
 * embedding, which is linear in its one-hot input.
 *
 * @param name full module name, for example {@code bert.encoder.layer.0.attention.self.query}
 * @param in input features; of an embedding its rows
 * @param out output features
 * @param bias whether it has one
 * @param kind where it stands in the model
 * @param turned whether files hold its weight as [in, out], as GPT-2's Conv1D does
 * @param weight name of its weight in files; of a tied head, the embedding's
 */
public record LinearModule(
    String name, int in, int out, boolean bias, Kind kind, boolean turned, String weight) {
  /** Where a module stands in the model. */
  public enum Kind {
    /** In a transformer block. */
    BLOCK,
    /** In a classifier's last block, where only one token of each example is read. */
    SUMMARY,
    /** A pooler or the layers of a classifier. */
    HEAD,
    /** From the last features to a logit for each token. */
    VOCABULARY,
    /** A table that is read at token ids or positions. */
    EMBEDDING
  }

  /** A linear layer that is stored as it is used, under its own name. */
  public LinearModule(String name, int in, int out, boolean bias, boolean block) {
    this(name, in, out, bias, block ? Kind.BLOCK : Kind.HEAD);
  }

  /** The same, anywhere in a model. */
  public LinearModule(String name, int in, int out, boolean bias, Kind kind) {
    this(name, in, out, bias, kind, false, name + ".weight");
  }

  /** A table [rows, features]. */
  public static LinearModule embedding(String name, int rows, int features) {
    return new LinearModule(name, rows, features, false, Kind.EMBEDDING, false, name + ".weight");
  }

  /**
   * A language model's head without bias.
   *
   * @param weight name of its weight in files: its own, or the embedding's if they are tied
   */
  public static LinearModule vocabulary(String name, int features, int tokens, String weight) {
    return new LinearModule(name, features, tokens, false, Kind.VOCABULARY, false, weight);
  }

  /** The same layer, stored as [in, out]. */
  public LinearModule storedTurned() {
    return new LinearModule(name, in, out, bias, kind, true, weight);
  }

  /** Sizes of its weight as it is used: [out, in], of an embedding [rows, features]. */
  public long[] weightShape() {
    return kind == Kind.EMBEDDING ? new long[] {in, out} : new long[] {out, in};
  }

  /** Whether it belongs to a transformer block. */
  public boolean block() {
    return kind == Kind.BLOCK || kind == Kind.SUMMARY;
  }

  /** Whether {@code suffix} is this module's name or its last components, as PEFT matches names. */
  public boolean isNamed(String suffix) {
    return name.equals(suffix) || name.endsWith("." + suffix);
  }

  /** Whether this module is, or lies inside, the module that {@code owner} names. */
  public boolean liesIn(String owner) {
    return isNamed(owner) || ("." + name).contains("." + owner + ".");
  }
}
