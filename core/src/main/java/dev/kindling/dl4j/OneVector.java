package dev.kindling.dl4j;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.deeplearning4j.nn.api.ParamInitializer;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.nd4j.linalg.api.ndarray.INDArray;

/** Tells Deeplearning4j that a layer's parameters are one flat vector. */
enum OneVector implements ParamInitializer {
  INSTANCE;

  static final String NAME = "trainables";

  @Override
  public long numParams(NeuralNetConfiguration conf) {
    return numParams(conf.getLayer());
  }

  @Override
  public long numParams(Layer layer) {
    return ((AdapterLayer) layer).trainables();
  }

  @Override
  public List<String> paramKeys(Layer layer) {
    return List.of(NAME);
  }

  @Override
  public List<String> weightKeys(Layer layer) {
    return List.of(NAME);
  }

  @Override
  public List<String> biasKeys(Layer layer) {
    return List.of();
  }

  @Override
  public boolean isWeightParam(Layer layer, String key) {
    return NAME.equals(key);
  }

  @Override
  public boolean isBiasParam(Layer layer, String key) {
    return false;
  }

  @Override
  public Map<String, INDArray> init(
      NeuralNetConfiguration conf, INDArray view, boolean initialize) {
    conf.addVariable(NAME);
    return getGradientsFromFlattened(conf, view);
  }

  @Override
  public Map<String, INDArray> getGradientsFromFlattened(
      NeuralNetConfiguration conf, INDArray view) {
    return new LinkedHashMap<>(Map.of(NAME, view.reshape(1, view.length())));
  }
}
