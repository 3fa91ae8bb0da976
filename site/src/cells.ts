// The cells on the map: a layer of its own, which draws every cell in one call from a few numbers.
// So a switch of type or month needs neither tiles nor a worker, only a new array.
import type { CustomLayerInterface, CustomRenderMethodInput, Map as MapLibre } from "maplibre-gl";
import { SIDE_M } from "./grid";
import { shape, toMercator } from "./projection";

export type Rgba = readonly [number, number, number, number];

/** How one cell is drawn. Colours 0 to 255, opacity 0 to 1, the width of the border in pixels. */
export interface Mark {
  id: number;
  fill: Rgba;
  border: Rgba;
  width: number;
}

/** On a small scale a cell is drawn larger than it is: at least this many pixels to a corner. */
const LEAST_PX = 3.2;
const EARTH_M = 40_075_016.7;
const TILE_PX = 512;
// a vertex: centre, offset from it, place in units of u and v, two colours, width of the border
const FLOATS = 9;
const CORNERS = [[-1, -1], [1, -1], [-1, 1], [1, 1]] as const;

// A cell is drawn as the parallelogram of its first two corners, of which the fragment shader keeps
// the hexagon: in units of u and v, where none of a, b and a + b exceeds 1.
const VERTEX = `#version 300 es
uniform mat4 u_matrix;
uniform float u_scale;
in vec2 a_centre, a_offset, a_place;
in vec4 a_fill, a_border;
in float a_width;
out vec2 v_place;
flat out vec4 v_fill, v_border;
flat out float v_width;
void main() {
  gl_Position = u_matrix * vec4(a_centre + u_scale * a_offset, 0.0, 1.0);
  v_place = a_place;
  v_fill = vec4(a_fill.rgb * a_fill.a, a_fill.a);
  v_border = vec4(a_border.rgb * a_border.a, a_border.a);
  v_width = a_width;
}`;

// the map is neither turned nor tilted, so all cells have one size in pixels
const FRAGMENT = `#version 300 es
precision mediump float;
uniform float u_inner;
uniform float u_ratio;
in vec2 v_place;
flat in vec4 v_fill, v_border;
flat in float v_width;
out vec4 colour;
void main() {
  vec2 sides = abs(v_place);
  float inside = u_inner * (1.0 - max(max(sides.x, sides.y), abs(v_place.x + v_place.y)));
  float border = clamp(v_width * u_ratio - inside + 0.5, 0.0, 1.0) * step(0.01, v_width);
  colour = mix(v_fill, v_border, border) * clamp(inside + 0.5, 0.0, 1.0);
}`;

export class CellsLayer implements CustomLayerInterface {
  readonly id = "cells";
  readonly type = "custom";
  readonly renderingMode = "2d";

  private marks: Mark[] = [];
  private map: MapLibre | null = null;
  private gl: WebGL2RenderingContext | null = null;
  private program: WebGLProgram | null = null;
  private vertices: WebGLVertexArrayObject | null = null;
  private buffers: [WebGLBuffer, WebGLBuffer] | null = null;
  // cells are placed relative to one of them, so that 32 bits are exact to a centimetre
  private origin: readonly [number, number] = [0.5, 0.33];
  private stale = true;

  /** Replaces what is drawn; the last lies on top. */
  set(marks: Mark[]): void {
    this.marks = marks;
    this.stale = true;
    this.map?.triggerRepaint();
  }

  /** The id of the drawn cell at a place on the map, or of the nearest within the least radius. */
  at(longitude: number, latitude: number): number | null {
    const [x, y] = toMercator([longitude, latitude]);
    const reach = Math.max(this.enlarged(latitude), 1);
    let found: number | null = null;
    let least = Infinity;
    for (const { id } of this.marks) {
      const [cx, cy, ux, uy, vx, vy] = shape(id);
      const [dx, dy] = [x - cx, y - cy];
      if (Math.abs(dx) > reach * ux * 1.2 || Math.abs(dy) > reach * ux * 1.2) continue;
      // the place in units of u and v: inside the hexagon none of the three exceeds 1
      const area = ux * vy - uy * vx;
      const a = (dx * vy - dy * vx) / area;
      const b = (dy * ux - dx * uy) / area;
      const far = Math.max(Math.abs(a), Math.abs(b), Math.abs(a + b));
      if (far <= reach && far < least) [found, least] = [id, far];
    }
    return found;
  }

  onAdd(map: MapLibre, context: WebGLRenderingContext | WebGL2RenderingContext): void {
    const gl = context as WebGL2RenderingContext;
    const program = gl.createProgram()!;
    for (const [kind, source] of [
      [gl.VERTEX_SHADER, VERTEX],
      [gl.FRAGMENT_SHADER, FRAGMENT],
    ] as const) {
      const shader = gl.createShader(kind)!;
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    this.map = map;
    this.gl = gl;
    this.program = program;
    this.vertices = gl.createVertexArray();
    this.buffers = [gl.createBuffer(), gl.createBuffer()];
    gl.bindVertexArray(this.vertices);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[0]);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, this.buffers[1]);
    this.attribute("a_centre", 2, gl.FLOAT, 0);
    this.attribute("a_offset", 2, gl.FLOAT, 8);
    this.attribute("a_place", 2, gl.FLOAT, 16);
    this.attribute("a_fill", 4, gl.UNSIGNED_BYTE, 24);
    this.attribute("a_border", 4, gl.UNSIGNED_BYTE, 28);
    this.attribute("a_width", 1, gl.FLOAT, 32);
    gl.bindVertexArray(null);
    this.stale = true;
  }

  render(_: WebGLRenderingContext | WebGL2RenderingContext, view: CustomRenderMethodInput): void {
    const { gl, map, program } = this;
    if (!gl || !map || !program) return;
    const matrix = Float64Array.from(view.defaultProjectionData.mainMatrix);
    for (let row = 0; row < 4; row++) {
      matrix[12 + row]! += matrix[row]! * this.origin[0] + matrix[4 + row]! * this.origin[1];
    }
    gl.useProgram(program);
    gl.uniformMatrix4fv(gl.getUniformLocation(program, "u_matrix"), false, new Float32Array(matrix));
    const enlarged = this.enlarged(map.getCenter().lat);
    const ratio = map.getPixelRatio();
    const radius = LEAST_PX * Math.max(1, 1 / enlarged) * ratio;
    gl.uniform1f(gl.getUniformLocation(program, "u_scale"), Math.max(enlarged, 1));
    gl.uniform1f(gl.getUniformLocation(program, "u_ratio"), ratio);
    gl.uniform1f(gl.getUniformLocation(program, "u_inner"), (radius * Math.sqrt(3)) / 2);
    gl.disable(gl.CULL_FACE);
    gl.bindVertexArray(this.vertices);
    if (this.stale && this.buffers) {
      gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[0]);
      this.upload(gl);
    }
    gl.drawElements(gl.TRIANGLES, 6 * this.marks.length, gl.UNSIGNED_INT, 0);
    gl.bindVertexArray(null);
  }

  /** How many times a cell must be enlarged to reach the least radius. */
  private enlarged(latitude: number): number {
    const zoom = this.map?.getZoom() ?? 0;
    const metres = (EARTH_M * Math.cos((latitude * Math.PI) / 180)) / (TILE_PX * 2 ** zoom);
    return (LEAST_PX * metres) / SIDE_M;
  }

  /** Four corners and two triangles a cell. (Instances would be fewer numbers, but slower.) */
  private upload(gl: WebGL2RenderingContext): void {
    const floats = new Float32Array(this.marks.length * 4 * FLOATS);
    const bytes = new Uint8Array(floats.buffer);
    const triangles = new Uint32Array(this.marks.length * 6);
    if (this.marks[0]) this.origin = shape(this.marks[0].id).slice(0, 2) as [number, number];
    this.marks.forEach(({ id, fill, border, width }, nth) => {
      const [x, y, ux, uy, vx, vy] = shape(id);
      CORNERS.forEach(([a, b], corner) => {
        const at = (4 * nth + corner) * FLOATS;
        floats[at] = x - this.origin[0];
        floats[at + 1] = y - this.origin[1];
        floats[at + 2] = a * ux + b * vx;
        floats[at + 3] = a * uy + b * vy;
        floats[at + 4] = a;
        floats[at + 5] = b;
        for (let part = 0; part < 4; part++) {
          const most = part === 3 ? 255 : 1;
          bytes[4 * at + 24 + part] = fill[part]! * most;
          bytes[4 * at + 28 + part] = border[part]! * most;
        }
        floats[at + 8] = width;
      });
      for (let k = 0; k < 6; k++) triangles[6 * nth + k] = 4 * nth + [0, 1, 2, 2, 1, 3][k]!;
    });
    gl.bufferData(gl.ARRAY_BUFFER, floats, gl.DYNAMIC_DRAW);
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, triangles, gl.DYNAMIC_DRAW);
    this.stale = false;
  }

  private attribute(name: string, size: number, type: number, offset: number): void {
    const gl = this.gl!;
    const place = gl.getAttribLocation(this.program!, name);
    gl.enableVertexAttribArray(place);
    gl.vertexAttribPointer(place, size, type, type === gl.UNSIGNED_BYTE, 4 * FLOATS, offset);
  }
}
