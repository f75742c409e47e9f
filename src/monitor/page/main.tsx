import 'uplot/dist/uPlot.min.css';
import './style.css';
import { render } from 'preact';
import { MonitorPage } from './monitor-page.js';
import { takeTokenFromAddress } from './session.js';

takeTokenFromAddress();
const root = document.getElementById('monitor');
if (root) render(<MonitorPage />, root);
